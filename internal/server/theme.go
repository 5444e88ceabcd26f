package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/web"
)

// look is what a theme serves.
type look struct {
	web.Theme
	style, logo asset
}

type asset struct {
	mediaType, etag string
	text            []byte
}

func newAsset(mediaType string, text []byte) asset {
	sum := sha256.Sum256(text)
	return asset{mediaType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`, text}
}

// newLook reads a theme.
func newLook(c config.Config) (look, error) {
	t, plain := c.Theme, config.Default(false).Theme
	l := look{Theme: web.Theme{Name: t.Name, Logo: t.Logo != ""}, style: newAsset("text/css; charset=utf-8", styleOf(t))}
	t.Name, t.Logo = plain.Name, plain.Logo
	l.Styled = t != plain
	if !l.Logo {
		return l, nil
	}
	text, mediaType, err := readLogo(c.Theme.Logo)
	if err != nil {
		return l, fmt.Errorf("%s: %w", c.Place("theme.logo"), err)
	}
	l.logo = newAsset(mediaType, text)
	return l, nil
}

// styleOf returns the variables of the pages' stylesheets as a theme has them. A badge is
// written in ink, since nobody looked at the accent on its own tint.
func styleOf(t config.Theme) []byte {
	colours := func(accent, background config.Colour) string {
		return fmt.Sprintf("--mark:%s;--on-mark:%s;--paper:%s;--tint:color-mix(in srgb,%s 10%%,var(--card,%s))", accent, accent.Ink(), background, accent, background)
	}
	return fmt.Appendf(nil, ":root{%s;--round:%dpx}\n@media(prefers-color-scheme:dark){:root{%s}}\n.mark{color:var(--ink)}\n",
		colours(t.Accent, t.Background), t.Radius, colours(t.AccentDark, t.BackgroundDark))
}

// largestLogo is what each page may ask of whoever opens it.
const largestLogo = 256 << 10

// readLogo returns a picture and its type, which is that of what it holds, whatever its
// name is.
func readLogo(path string) ([]byte, string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, largestLogo+1))
	switch {
	case err != nil:
		return nil, "", err
	case len(text) > largestLogo:
		return nil, "", errors.New("the picture is larger than 256 KiB")
	}
	mediaType := http.DetectContentType(text)
	if slices.Contains([]string{"image/png", "image/jpeg", "image/webp"}, mediaType) {
		return text, mediaType, nil
	}
	if isSVG(text) {
		return text, "image/svg+xml", nil
	}
	return nil, "", errors.New("it is no picture that browsers show: give an SVG, PNG, JPEG or WebP file")
}

func isSVG(text []byte) bool {
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if root, ok := token.(xml.StartElement); ok {
			return root.Name == xml.Name{Space: "http://www.w3.org/2000/svg", Local: "svg"}
		}
	}
}

func (s *Server) themeStyle(w http.ResponseWriter, r *http.Request) error {
	return s.look.style.write(w, r)
}

// themeLogo serves the logo. An SVG that is opened by itself is a document: it runs and
// fetches nothing, and has an origin of its own.
func (s *Server) themeLogo(w http.ResponseWriter, r *http.Request) error {
	if !s.look.Logo {
		return &web.Refused{Status: http.StatusNotFound, Message: "there is nothing here"}
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; sandbox")
	return s.look.logo.write(w, r)
}

func (a asset) write(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	h.Set("Cache-Control", "public, no-cache") // it is kept, and asked for whether it is still that
	h.Set("ETag", a.etag)
	if web.Matches(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", a.mediaType)
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(a.text) // the client is gone: nobody is left to tell
	return nil
}
