package server

import (
	_ "embed"
	"html/template"
	"net/http"

	"github.com/doorward/doorward/internal/web"
)

// style is the whole look of the front page.
const style = `:root{color-scheme:light dark;--ink:#1b1d21;--soft:#5b616b;--paper:#fbfaf7;--line:#e3dfd6;--mark:#7a4b12}
@media(prefers-color-scheme:dark){:root{--ink:#ece9e2;--soft:#a3a8b0;--paper:#16181c;--line:#2c3036;--mark:#e0b070}}
*{box-sizing:border-box}body{margin:0;background:var(--paper);color:var(--ink);font:1rem/1.5 ui-sans-serif,system-ui,sans-serif}
main{max-width:53rem;margin:0 auto;padding:clamp(1.5rem,7vh,6rem) 1.25rem}
img{display:block;height:3rem;max-width:100%}svg{display:block;width:2.75rem;height:3rem;color:var(--mark)}h1{font-size:2rem;line-height:1.2;margin:1.25rem 0 .25rem;letter-spacing:-.02em}
p{margin:0 0 2.5rem;color:var(--soft)}dl{margin:0;border-top:1px solid var(--line)}
div{display:grid;grid-template-columns:25rem 1fr;gap:.125rem 1.5rem;align-items:baseline;padding:.75rem 0;border-bottom:1px solid var(--line)}
@media(max-width:50rem){div{grid-template-columns:1fr}dd{padding-left:3rem}}
dt{font:.875rem/1.5 ui-monospace,monospace;display:flex;overflow-wrap:anywhere}i{flex:0 0 3rem;font-style:normal;color:var(--soft)}dd{margin:0;font-size:.9375rem;color:var(--soft)}
a{color:var(--mark);text-decoration-color:color-mix(in srgb,currentColor 35%,transparent);text-underline-offset:.2em}a:hover{text-decoration-color:currentColor}
a:focus-visible{outline:2px solid var(--mark);outline-offset:3px;border-radius:2px}`

var page = template.Must(template.New("home").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Data.Theme.Name}}</title>
<style nonce="{{.Nonce}}">` + style + `</style>{{if .Data.Theme.Styled}}
<link rel="stylesheet" nonce="{{.Nonce}}" href="/theme/style.css">{{end}}
</head>
<body>
<main>
{{if .Data.Theme.Logo}}<img src="/theme/logo" alt="">{{else}}<svg viewBox="2.25 2 19.5 20" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true"><path d="M5 21V10a7 7 0 0 1 14 0v11M3 21h18M15 13v2"/></svg>{{end}}
<h1>{{.Data.Theme.Name}}</h1>
<p>An authentication and authorization server runs here.</p>
<dl>
<div><dt><i>GET</i><a href="/account">/account</a></dt><dd>Sign in, see your devices, change your password</dd></div>
<div><dt><i>POST</i>/auth/login</dt><dd>Sign in with a username and a password</dd></div>
<div><dt><i>POST</i>/auth/refresh</dt><dd>Spend a refresh token for the next pair</dd></div>
<div><dt><i>POST</i>/auth/logout</dt><dd>End what was signed in</dd></div>
<div><dt><i>GET</i>/users/me</dt><dd>Who am I, and what may I do</dd></div>
{{if .Data.Docs}}<div><dt><i>GET</i><a href="/docs">/docs</a></dt><dd>The API, to read and to try</dd></div>
{{end}}<div><dt><i>GET</i><a href="/openapi.json">/openapi.json</a></dt><dd>The whole API, as an OpenAPI document</dd></div>
<div><dt><i>GET</i><a href="/oauth2/jwks">/oauth2/jwks</a></dt><dd>The keys that tokens are verified with</dd></div>
<div><dt><i>GET</i><a href="/.well-known/oauth-authorization-server">/.well-known/oauth-authorization-server</a></dt><dd>What this server says of itself</dd></div>
<div><dt><i>GET</i><a href="/readyz">/readyz</a></dt><dd>Whether it is ready to serve</dd></div>
{{if .Data.Inbox}}<div><dt><i>GET</i><a href="/inbox">/inbox</a></dt><dd>The letters that it would have mailed</dd></div>
{{end}}</dl>
</main>
</body>
</html>
`))

// home says what runs here.
func (s *Server) home(w http.ResponseWriter, _ *http.Request) error {
	return web.Page{Template: page, Data: struct {
		Theme       web.Theme
		Docs, Inbox bool
	}{s.look.Theme, s.Config.Docs, s.inbox}}.Write(w)
}

//go:embed icon.png
var icon []byte

// favicon serves the sign of this site, which browsers ask for by themselves.
func (s *Server) favicon(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "image/png")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(icon) // the client is gone: nobody is left to tell
	return nil
}
