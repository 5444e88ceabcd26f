//go:build interop

package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// person is somebody in front of a browser without scripts: he goes where he is
// sent, fills in what a page asks for, and agrees.
type person struct {
	t        *testing.T
	name     string
	password string
	says     string // to what a page asks him to decide: allow or deny
	client   *http.Client
	asked    []string // the forms that he was shown, by their ids
}

func newPerson(t *testing.T, name, password string) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &person{t: t, name: name, password: password, says: "allow", client: &http.Client{Jar: jar, CheckRedirect: stay, Timeout: 10 * time.Second}}
}

// visit goes to an address, and on from there until an application's redirect URI is
// reached, which nobody needs to serve; or without one, until a page asks for nothing
// more. It returns where that was.
func (p *person) visit(address, redirectURI string) (string, error) {
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	for range 12 {
		a, err := p.client.Do(r)
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(io.LimitReader(a.Body, 1<<20))
		a.Body.Close()
		if err != nil {
			return "", err
		}
		if to := a.Header.Get("Location"); to != "" {
			next, err := r.URL.Parse(to)
			if err != nil {
				return "", err
			}
			if at, _, _ := strings.Cut(next.String(), "?"); at == redirectURI {
				return next.String(), nil
			}
			if r, err = http.NewRequestWithContext(p.t.Context(), http.MethodGet, next.String(), nil); err != nil {
				return "", err
			}
			continue
		}
		f, err := questionsOf(string(text))
		if err != nil && redirectURI == "" && a.StatusCode == http.StatusOK {
			return r.URL.String(), nil
		} else if err != nil {
			return "", fmt.Errorf("%s %s: %s: %w\n%s", r.Method, r.URL, a.Status, err, text)
		}
		if r, err = p.fill(f, r.URL); err != nil {
			return "", fmt.Errorf("%w\n%s", err, text)
		}
	}
	return "", fmt.Errorf("%s: it goes on and on", address)
}

// fill returns the request of a form that is filled in.
func (p *person) fill(f questions, page *url.URL) (*http.Request, error) {
	p.asked = append(p.asked, f.id)
	switch {
	case f.has("username"):
		f.values.Set("username", p.name)
		f.values.Set("password", p.password)
	case f.has("decision"):
		f.values.Set("decision", p.says)
	default:
		return nil, fmt.Errorf("nobody knows what to do with the form %s", f.id)
	}
	to, err := page.Parse(f.action)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, to.String(), strings.NewReader(f.values.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin") // as browsers say
	r.Header.Set("Origin", page.Scheme+"://"+page.Host)
	return r, nil
}

// questions are a form of a page.
type questions struct {
	id, action string
	values     url.Values
	fields     map[string]bool
}

func (f questions) has(name string) bool { return f.fields[name] }

// questionsOf returns the first form of a page that is posted.
func questionsOf(page string) (questions, error) {
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return questions{}, err
	}
	for n := range tree.Descendants() {
		if n.Type != html.ElementNode || n.Data != "form" || !strings.EqualFold(attribute(n, "method"), "post") {
			continue
		}
		f := questions{id: attribute(n, "id"), action: attribute(n, "action"), values: url.Values{}, fields: map[string]bool{}}
		for in := range n.Descendants() {
			name := attribute(in, "name")
			if in.Type != html.ElementNode || name == "" {
				continue
			}
			f.fields[name] = true
			if in.Data == "input" && attribute(in, "type") == "hidden" {
				f.values.Add(name, attribute(in, "value"))
			}
		}
		return f, nil
	}
	return questions{}, fmt.Errorf("the page has no form")
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// with lets a client send the person to pages: a program that prints "visit URL",
// reads where that ended, and prints "done" when all was as it should be.
func (p *person) with(folder, redirectURI, name string, args ...string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = folder, append(cmd.Environ(), "AUTHLIB_INSECURE_TRANSPORT=1") // http, on loopback
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	done := false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		to, asks := strings.CutPrefix(lines.Text(), "visit ")
		switch {
		case lines.Text() == "done":
			done = true
		case asks:
			landed, err := p.visit(to, redirectURI)
			if err != nil {
				p.t.Errorf("%s: %v", args[0], err)
				in.Close() // which ends the client
				continue
			}
			fmt.Fprintln(in, landed)
		}
	}
	in.Close()
	if err := cmd.Wait(); err != nil || !done {
		p.t.Errorf("%s: %v\n%s", args[0], err, stderr.String())
	}
}
