package guard

import "net/http"

// A Reason says why a request was refused, in words that the caller may read.
// The errors of this package wrap one: test for it with errors.Is.
type Reason string

// The reasons.
const (
	ErrNoCredential   Reason = "an access token is needed, as Authorization: Bearer"
	ErrTwoCredentials Reason = "the request carries more than one credential"
	ErrTokenInQuery   Reason = "access tokens are not taken from the query"

	ErrMalformed   Reason = "the access token is not a well-formed JWT"
	ErrType        Reason = "the token is not an access token"
	ErrAlgorithm   Reason = "the algorithm of the access token is not the algorithm of its key"
	ErrUnknownKey  Reason = "the access token is signed with an unknown key"
	ErrSignature   Reason = "the signature of the access token is wrong"
	ErrClaims      Reason = "a claim of the access token is missing or has the wrong form"
	ErrIssuer      Reason = "the access token is of another issuer"
	ErrAudience    Reason = "the access token is meant for another API"
	ErrExpired     Reason = "the access token has expired"
	ErrNotYetValid Reason = "the access token is not valid yet"
	ErrBound       Reason = "the access token is bound to a key that cannot be proved here"
	ErrRevoked     Reason = "the access token was revoked"
	ErrAPIKey      Reason = "the API key is not accepted here"

	ErrPermission  Reason = "the access token lacks a permission"
	ErrStepUp      Reason = "a stronger or more recent sign-in is needed"
	ErrLimited     Reason = "too many requests, try again later"
	ErrUnavailable Reason = "the credential cannot be checked at the moment"
)

// Error returns the reason in words.
func (r Reason) Error() string { return string(r) }

// status returns how a reason is told over HTTP (RFC 6750, Section 3.1;
// RFC 9470, Section 3). What is not listed is a bad token.
func (r Reason) status() (status int, code string) {
	switch r {
	case ErrNoCredential:
		// "If the request lacks any authentication information …, the resource
		// server SHOULD NOT include an error code or other error information."
		return http.StatusUnauthorized, ""
	case ErrTwoCredentials, ErrTokenInQuery:
		return http.StatusBadRequest, "invalid_request"
	case ErrPermission:
		return http.StatusForbidden, "insufficient_scope"
	case ErrStepUp:
		return http.StatusUnauthorized, "insufficient_user_authentication"
	case ErrLimited:
		return http.StatusTooManyRequests, "temporarily_unavailable"
	case ErrUnavailable:
		return http.StatusServiceUnavailable, "temporarily_unavailable"
	}
	return http.StatusUnauthorized, "invalid_token"
}
