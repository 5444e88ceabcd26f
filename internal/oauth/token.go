package oauth

// TokenRequest is a request to the token endpoint.
type TokenRequest struct {
	Grant    GrantType
	Client   Credentials
	Scope    []string // sorted; nil for none
	Resource []string // as they were sent
	Params   Params   // what is the grant's own
}

// ParseTokenRequest reads a request to the token endpoint (RFC 6749, Section 3.2;
// RFC 8707, Section 2.2). Whether the grant is known is not judged, nor who asks.
func ParseTokenRequest(header []string, p Params) (TokenRequest, error) {
	r := TokenRequest{Grant: GrantType(p.Get("grant_type")), Resource: p["resource"], Params: p}
	if r.Grant == "" {
		return r, invalid("grant_type is missing")
	}
	var err error
	if r.Client, err = ParseCredentials(header, p); err != nil {
		return r, err
	}
	if r.Scope, err = ParseScope(p.Get("scope")); err != nil {
		return r, err
	}
	for _, resource := range r.Resource {
		if err := CheckResource(resource); err != nil {
			return r, err
		}
	}
	return r, nil
}
