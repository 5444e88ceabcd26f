// Package reference is the page that shows the document of the API and makes its calls:
// Swagger UI, from this server alone, under a policy that runs nothing else.
//
// It knows nothing of the API, and holds no rights: what it calls, it calls with the token
// of who signed in to it, as any application does. Its application is one of the program
// (client.Reference), and is there as long as the page is.
package reference

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/doorward/doorward/internal/web"
)

// Path is where the page is; Redirect, where people come back to it once they have
// signed in.
const (
	Path     = "/docs"
	Redirect = Path + "/oauth2-redirect.html"
)

//go:generate go run ./swaggergen swagger

//go:embed swagger/*.gz page
var files embed.FS

var (
	page     = template.Must(template.ParseFS(files, "page/docs.html"))
	redirect = template.Must(template.ParseFS(files, "page/redirect.html"))
)

// Reference serves the page.
type Reference struct {
	options Options
	assets  func() map[string]asset // by name
}

// Options say how people sign in to the page.
type Options struct {
	Issuer string
	Client string // the id of its application
	// Password lets them do so by their password, on the page itself: for dev, where
	// nobody else writes its scripts or reads what is typed.
	Password bool
	Theme    web.Theme
}

var mediaTypes = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".txt": "text/plain; charset=utf-8"}

// asset is a file that the page is made of.
type asset struct {
	mediaType, etag string
	packed          []byte // gzip
}

// New returns the page. What it is made of is looked at when somebody first comes for it.
func New(o Options) *Reference { return &Reference{o, sync.OnceValue(assets)} }

func assets() map[string]asset {
	all := map[string]asset{}
	for _, folder := range []string{"swagger", "page"} {
		list, _ := files.ReadDir(folder) // it is part of the program
		for _, entry := range list {
			text, _ := files.ReadFile(folder + "/" + entry.Name())
			name, isPacked := strings.CutSuffix(entry.Name(), ".gz")
			mediaType, ok := mediaTypes[path.Ext(name)]
			if !ok {
				continue // a template
			}
			if !isPacked {
				text = pack(text)
			}
			sum := sha256.Sum256(text)
			all[name] = asset{mediaType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, text}
		}
	}
	return all
}

func pack(text []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(text) // into memory
	_ = z.Close()
	return b.Bytes()
}

// Page serves the page.
func (s *Reference) Page(w http.ResponseWriter, _ *http.Request) error {
	return web.Page{Template: page, Data: s.options, DataImages: true}.Write(w)
}

// Asset serves a file that the page is made of, and where people come back to.
func (s *Reference) Asset(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("file")
	if name == path.Base(Redirect) {
		return web.Page{Template: redirect}.Write(w)
	}
	a, ok := s.assets()[name]
	if !ok {
		return &web.Refused{Status: http.StatusNotFound, Message: "there is nothing here"}
	}
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache") // it is kept, and asked for whether it is still that
	h.Set("ETag", a.etag)
	h.Set("Vary", "Accept-Encoding")
	if web.Matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	text := a.packed
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
	} else {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			return err
		}
		if text, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	h.Set("Content-Type", a.mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(text) // the client is gone: nobody is left to tell
	return nil
}

// takesGzip reports whether a client says that it can unpack (RFC 9110, Section 12.5.3). Who
// gives it a weight may not want it.
func takesGzip(r *http.Request) bool {
	for _, line := range r.Header["Accept-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				return true
			}
		}
	}
	return false
}
