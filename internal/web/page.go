package web

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"regexp"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// Page is an HTML page. Its policy (Content Security Policy Level 3) lets run and
// lets show only what carries the nonce of this one answer: in the template,
// <style nonce="{{.Nonce}}"> and <script nonce="{{.Nonce}}">. Event handlers and
// style attributes in the markup do nothing.
type Page struct {
	Template *template.Template // is given a View
	Data     any
	Status   int // 200 if not given
	// FormTo are the origins, besides this site's, that an answer to a form of
	// this page may redirect to: browsers hold redirects against form-action too.
	// Each is an origin, like https://app.example, or the scheme of a native
	// application with its colon (RFC 8252, Section 7.1).
	FormTo []string
	// Frames are the origins of what the page shows in frames; none may be.
	Frames []string
	// PopUp lets the window that opened this page keep its handle on it, for
	// sign-in in a pop-up. Without it the page has a browsing context group of its
	// own (Cross-Origin-Opener-Policy).
	PopUp bool
	// DataImages lets pictures stand within a stylesheet, as those of others do.
	DataImages bool
}

// View is what the template of a page is given.
type View struct {
	Nonce string
	Data  any
}

// Write writes the page, or returns an error before anything is written.
func (p Page) Write(w http.ResponseWriter) error {
	nonce := base64.RawURLEncoding.EncodeToString(secret.Random(16))
	policy, err := p.policy(nonce)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := p.Template.Execute(&body, View{nonce, p.Data}); err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = html
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	h["X-Frame-Options"] = deny
	h["Content-Security-Policy"] = []string{policy}
	h["Permissions-Policy"] = permissions
	if !p.PopUp {
		h["Cross-Origin-Opener-Policy"] = sameOrigin
	}
	status := p.Status
	if status == 0 {
		status = http.StatusOK
	}
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client is gone: nobody is left to tell
	return nil
}

func (p Page) policy(nonce string) (string, error) {
	forms := "form-action 'self'"
	for _, source := range p.FormTo {
		if !formSource.MatchString(source) || notApplications.MatchString(source) {
			return "", fmt.Errorf("web: %q cannot be named in form-action", source)
		}
		forms += " " + source
	}
	images := "img-src 'self'"
	if p.DataImages {
		images += " data:"
	}
	list := []string{
		"default-src 'none'", "script-src 'nonce-" + nonce + "'", "style-src 'nonce-" + nonce + "'",
		images, "font-src 'self'", "connect-src 'self'", forms, "frame-ancestors 'none'", "base-uri 'none'",
		"require-trusted-types-for 'script'", "trusted-types 'none'",
	}
	if len(p.Frames) > 0 {
		for _, origin := range p.Frames {
			if !formSource.MatchString(origin) || strings.HasSuffix(origin, ":") {
				return "", fmt.Errorf("web: %q cannot be named in frame-src", origin)
			}
		}
		list = append(list, "frame-src "+strings.Join(p.Frames, " "))
	}
	return strings.Join(list, "; "), nil
}

// formSource is a host-source without wildcards, or a scheme-source (CSP3, Section
// 2.3.1). It has no form for IPv6 addresses.
var formSource = regexp.MustCompile(`^(https?://[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?(:[1-9][0-9]{0,4})?|[a-z][a-z0-9+.-]*:)$`)

// notApplications are schemes that stand for every site, or for a document of the
// page's own.
var notApplications = regexp.MustCompile(`^(https?|wss?|ftp|data|blob|filesystem|javascript|about|file):$`)

var (
	html        = []string{"text/html; charset=utf-8"}
	permissions = []string{denied(
		"accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "gamepad", "geolocation", "gyroscope",
		"hid", "idle-detection", "local-fonts", "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "screen-wake-lock",
		"serial", "storage-access", "usb", "window-management", "xr-spatial-tracking",
	) + ", publickey-credentials-create=(self), publickey-credentials-get=(self)"}
)

func denied(features ...string) string { return strings.Join(features, "=(), ") + "=()" }
