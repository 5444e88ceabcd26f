package provider

import (
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/web"
)

// Userinfo tells the holder of an access token who the person is that it is of, as far
// as its scope says (OpenID Connect Core 1.0, Section 5.3).
func (p *Provider) Userinfo(w http.ResponseWriter, r *http.Request) error {
	by := web.By(r.Context())
	if by.Kind != principal.User || !slices.Contains(by.Scopes, "openid") {
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorward", error="insufficient_scope", scope="openid"`)
		return &web.Refused{Status: http.StatusForbidden, Message: "the token is not one with the scope openid"}
	}
	told, err := p.Issuer.Userinfo(r.Context(), by.ID, by.Family, by.Scopes)
	if fault.KindOf(err) == fault.NotFound { // deleted, and the news has not come yet
		w.Header().Set("WWW-Authenticate", `Bearer realm="doorward", error="invalid_token"`)
		return &web.Refused{Status: http.StatusUnauthorized, Message: "the token is not good any more"}
	} else if err != nil {
		return err
	}
	p.Count(by.Credential(), "userinfo", audit.Success)
	if !told.Signed.IsZero() { // OpenID Connect Core 1.0, Section 5.3.2
		w.Header().Set("Content-Type", "application/jwt")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(shown(told.Signed))) // the client is gone: nobody is left to tell
		return nil
	}
	return web.JSON(w, http.StatusOK, told.Claims)
}
