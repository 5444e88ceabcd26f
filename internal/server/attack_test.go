package server_test

import (
	"bufio"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/client"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// targets says what the placeholders in the list of attacks stand for here.
var targets = map[string][]string{
	"POST /oauth2/token":                            {"POST /auth/login", "POST /auth/refresh", "POST /oauth2/token"}, // whatever gives tokens
	"POST /oauth2/introspect":                       {"POST /oauth2/introspect"},
	"POST /oauth2/revoke":                           {"POST /oauth2/revoke"},
	"POST /oauth2/token (grant_type=refresh_token)": {"POST /auth/refresh"},
	"POST /api/v1/auth/login":                       {"POST /auth/login"},
	"POST /api/v1/auth/password":                    {"POST /users/me/password"},
	"GET /api/v1/me":                                {"GET /users/me"},
	"PATCH /api/v1/users/me":                        {"PATCH /users/me"},
	"GET /api/v1/users":                             {"GET /users"},
	"POST /api/v1/users/{id}/roles":                 {"POST /users/{id}/roles"},
	"POST /api/v1/roles/{id}/parents":               {"POST /roles", "PUT /roles/{name}"},
	"GET /.well-known/jwks.json":                    {"GET /oauth2/jwks"},
}

func TestTargetsAreOnTheSiteMap(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	for placeholder, patterns := range targets {
		for _, p := range patterns {
			if !slices.ContainsFunc(s.Server.SiteMap(), func(l server.Line) bool { return l.Pattern == p }) {
				t.Errorf("%s stands for %s, which is not on the site map", placeholder, p)
			}
		}
	}
}

// door is a place where tokens are given, judged or ended, with a request that it
// grants.
type door struct {
	path    string
	good    url.Values
	headers []string // that the good request needs
}

// doors returns what stands for the token endpoint, and those beside it that clients
// prove themselves at in the same way. What is spent by use is new each time.
func doors(t testing.TB, s *servertest.Site) []door {
	t.Helper()
	proof := clientOf(t, s).basic()
	token := url.Values{"token": {s.Login(t, "ann").Access}}
	return []door{
		{"/auth/login", url.Values{"username": {"ann"}, "password": {servertest.Password}}, nil},
		{"/auth/refresh", url.Values{"refresh_token": {s.Login(t, "ann").Refresh}}, nil},
		{"/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, proof},
		{"/oauth2/introspect", token, proof},
		{"/oauth2/revoke", token, proof},
	}
}

// clientOf makes a client, past the API.
func clientOf(t testing.TB, s *servertest.Site) registered {
	t.Helper()
	c, text, err := s.Core.Clients.Create(t.Context(), servertest.Operator, client.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	return registered{c.ID, text.Reveal()}
}

// post sends a form as it is written, and what the door needs beside it.
func (d door) post(t testing.TB, s *servertest.Site, form string, headers ...string) servertest.Answer {
	t.Helper()
	return s.Send(t, http.MethodPost, d.path, formType, form, append(headers, d.headers...)...)
}

// head returns what the door needs as lines of a request.
func (d door) head() (lines string) {
	for i := 0; i < len(d.headers); i += 2 {
		lines += d.headers[i] + ": " + d.headers[i+1] + "\r\n"
	}
	return lines
}

// opens fails the test unless the good request is granted: what was tried before
// it has consumed nothing.
func (d door) opens(t testing.TB, s *servertest.Site) {
	t.Helper()
	if a := d.post(t, s, d.good.Encode()); a.Status != http.StatusOK {
		t.Errorf("%s, the good request: %d %s", d.path, a.Status, a.Body)
	}
}

// Every place that the list of attacks calls a token endpoint is among the doors.
func TestEveryTargetHasItsDoor(t *testing.T) {
	s := servertest.Start(t, servertest.Options{})
	s.User(t, "ann", "viewer")
	list := doors(t, s)
	for _, placeholder := range []string{"POST /oauth2/token", "POST /oauth2/introspect", "POST /oauth2/revoke"} {
		for _, pattern := range targets[placeholder] {
			if !slices.ContainsFunc(list, func(d door) bool { return "POST "+d.path == pattern }) {
				t.Errorf("no door is %s", pattern)
			}
		}
	}
	for _, d := range list {
		d.opens(t, s)
	}
}

// Every attack on a component that is built has a test named after it, or a
// reason why not. The list holds a line for each:
//
//	RT-001 | test | what it is                a test in this package
//	JWT-001 | elsewhere: guard | what it is   a test in that package
//	JWT-033 | otherwise: how | what it is     something else holds it
//	TOK-009 | later: why | what it is         what it attacks is not built yet
func TestEveryAttackHasItsTest(t *testing.T) {
	root := filepath.Join("..", "..")
	here := filepath.Join("internal", "server")
	tests := attackTests(t, root)
	listed := map[string]bool{}
	file, err := os.Open(filepath.Join("testdata", "attacks.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, " | ")
		if len(fields) != 3 || !regexp.MustCompile(`^[A-Z]+-\d{3}$`).MatchString(fields[0]) || strings.TrimSpace(fields[2]) == "" {
			t.Errorf("not a line of the list: %q", line)
			continue
		}
		id := fields[0]
		if listed[id] {
			t.Errorf("%s is listed twice", id)
		}
		listed[id] = true
		how, what, _ := strings.Cut(fields[1], ": ")
		found := tests[strings.ReplaceAll(id, "-", "")]
		switch {
		case how == "test" && what == "":
			if !slices.Contains(found, here) {
				t.Errorf("%s has no test in %s", id, here)
			}
		case how == "elsewhere" && what != "":
			for place := range strings.SplitSeq(what, ", ") {
				if !slices.Contains(found, filepath.FromSlash(place)) {
					t.Errorf("%s has no test in %s; it has some in %v", id, place, found)
				}
			}
		case (how == "later" || how == "otherwise") && what != "":
			if len(found) > 0 {
				t.Errorf("%s has a test in %v: let the list say so", id, found)
			}
		default:
			t.Errorf("%s: %q is neither test, elsewhere, otherwise nor later", id, fields[1])
		}
	}
	if err := lines.Err(); err != nil || len(listed) < 100 {
		t.Fatalf("the list has %d lines, %v", len(listed), err)
	}
	for id, places := range tests {
		if slices.Contains(places, here) && !listed[regexp.MustCompile(`\d+`).ReplaceAllString(id, "-$0")] {
			t.Errorf("TestAttack%s is for an attack that is not listed", id)
		}
	}
}

// attackTests returns the attacks that have tests, with the packages of these.
func attackTests(t *testing.T, root string) map[string][]string {
	t.Helper()
	name := regexp.MustCompile(`(?m)^func TestAttack([A-Z]+\d{3})\w*\(`)
	tests := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "testdata" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, m := range name.FindAllStringSubmatch(string(text), -1) {
			tests[m[1]] = append(tests[m[1]], dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
