package server

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// style is the whole look of the front page. The page's policy names its
// digest, so that no other style can be put in.
const style = `:root{color-scheme:light dark;--ink:#1b1d21;--soft:#5b616b;--paper:#fbfaf7;--line:#dcd8cf;--mark:#7a4b12}
@media(prefers-color-scheme:dark){:root{--ink:#ece9e2;--soft:#a3a8b0;--paper:#16181c;--line:#33373e;--mark:#e0b070}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 ui-sans-serif,system-ui,sans-serif}
main{max-width:40rem;margin:0 auto;padding:clamp(1.5rem,6vw,5rem) 1.25rem}
svg{width:3rem;height:3rem;color:var(--mark)}h1{font-size:1.75rem;margin:.5rem 0 .25rem;letter-spacing:-.01em}
p{margin:.25rem 0 2rem;color:var(--soft)}dl{margin:0;border-top:1px solid var(--line)}
div{display:flex;flex-wrap:wrap;gap:.25rem 1.5rem;padding:.7rem 0;border-bottom:1px solid var(--line)}
dt{flex:0 0 17rem;font-family:ui-monospace,monospace;font-size:.875rem;overflow-wrap:anywhere}dd{margin:0;flex:1 1 14rem;color:var(--soft)}
a{color:var(--mark)}a:focus-visible{outline:2px solid var(--mark);outline-offset:3px}`

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Doorward</title>
<style>` + style + `</style>
</head>
<body>
<main>
<svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><path d="M5 21V10a7 7 0 0 1 14 0v11M3 21h18M15 13v2"/></svg>
<h1>Doorward</h1>
<p>An authentication and authorization server runs here.</p>
<dl>
<div><dt>POST /auth/login</dt><dd>Sign in with a username and a password</dd></div>
<div><dt>POST /auth/refresh</dt><dd>Spend a refresh token for the next pair</dd></div>
<div><dt>POST /auth/logout</dt><dd>End what was signed in</dd></div>
<div><dt>GET /users/me</dt><dd>Who am I, and what may I do</dd></div>
<div><dt><a href="/openapi.json">/openapi.json</a></dt><dd>The whole API, as an OpenAPI document</dd></div>
<div><dt><a href="/oauth2/jwks">/oauth2/jwks</a></dt><dd>The keys that tokens are verified with</dd></div>
<div><dt><a href="/.well-known/oauth-authorization-server">/.well-known/oauth-authorization-server</a></dt><dd>What this server says of itself</dd></div>
<div><dt><a href="/readyz">/readyz</a></dt><dd>Whether it is ready to serve</dd></div>
</dl>
</main>
</body>
</html>
`

var pagePolicy = func() string {
	digest := sha256.Sum256([]byte(style))
	return strings.Join([]string{
		"default-src 'none'", "style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) + "'",
		"frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'",
	}, "; ")
}()

// home says what runs here.
func (s *Server) home(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Security-Policy", pagePolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write([]byte(page)) // the client is gone: nobody is left to tell
	return nil
}
