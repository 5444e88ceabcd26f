// Package oauth is the specifications as they are written: parameters, errors,
// scopes. It reads what a request says and knows nothing of who sent it, nor of
// HTTP: statuses belong to the surfaces.
package oauth

import (
	"errors"
	"time"
)

// Code is an error code from the registry (RFC 6749, Sections 5.2 and 11.4).
type Code string

// The codes.
const (
	InvalidRequest         Code = "invalid_request"
	InvalidClient          Code = "invalid_client"
	InvalidGrant           Code = "invalid_grant"
	UnauthorizedClient     Code = "unauthorized_client"
	UnsupportedGrantType   Code = "unsupported_grant_type"
	InvalidScope           Code = "invalid_scope"
	InvalidTarget          Code = "invalid_target" // RFC 8707, Section 2
	ServerError            Code = "server_error"
	TemporarilyUnavailable Code = "temporarily_unavailable"

	// Of the authorization endpoint (RFC 6749, Section 4.1.2.1; OpenID Connect Core 1.0,
	// Section 3.1.2.6).
	AccessDenied            Code = "access_denied"
	UnsupportedResponseType Code = "unsupported_response_type"
	LoginRequired           Code = "login_required"
	ConsentRequired         Code = "consent_required"
	InteractionRequired     Code = "interaction_required"
	RequestNotSupported     Code = "request_not_supported"
	RequestURINotSupported  Code = "request_uri_not_supported"
	InvalidRequestURI       Code = "invalid_request_uri"
	RegistrationUnsupported Code = "registration_not_supported"
	UnmetAuthentication     Code = "unmet_authentication_requirements"

	// Of a device that waits for a person (RFC 8628, Section 3.5).
	AuthorizationPending Code = "authorization_pending"
	SlowDown             Code = "slow_down"
	ExpiredToken         Code = "expired_token"

	// Of the registration of clients (RFC 7591, Section 3.2.2), and of a token that is not
	// good (RFC 6750, Section 3.1).
	InvalidRedirectURI    Code = "invalid_redirect_uri"
	InvalidClientMetadata Code = "invalid_client_metadata"
	InvalidToken          Code = "invalid_token"
)

// Error is an answer that an OAuth client may be given. Its description is ours
// alone: nothing that a request held is repeated in it (RFC 6749, Section 5.2,
// allows few characters there, and echoes have been used for attacks).
type Error struct {
	Code        Code
	Description string
	After       time.Duration // how long to wait, with TemporarilyUnavailable
	Basic       bool          // a client tried the header, and is answered with its scheme

	cause error
}

// Error returns the code and the description.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Description }

// Describe returns what an error may be told as: the description of an Error, or nothing.
func Describe(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Description
	}
	return ""
}

// Unwrap returns what led to the error.
func (e *Error) Unwrap() error { return e.cause }

// Because returns a copy of e that remembers what led to it.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

func invalid(description string) *Error {
	return &Error{Code: InvalidRequest, Description: description}
}
