package e2e_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/storm/program"
)

// example is an API in examples/ that takes Doorward's tokens, in another language.
type example struct {
	folder string
	ready  string // a path that it answers with 200
	port   string // that its documents speak of
	start  string // the command that starts it, as they say
	source string
	// room returns the folder that it runs in, and where its programs are.
	room func(t *testing.T, folder string) (room, programs string)
}

var examples = []example{
	{"fastapi", "/openapi.json", "8000", "uvicorn main:app --port 8000", "main.py", func(t *testing.T, folder string) (room, programs string) {
		python, room := pythonRoom(t, folder)
		return room, filepath.Dir(python)
	}},
	{"express", "/", "3000", "node main.js", "main.js", func(t *testing.T, folder string) (room, programs string) {
		node, room := nodeRoom(t, folder)
		return room, filepath.Dir(node)
	}},
}

// at is where the example lives.
func (e example) at(file string) string { return filepath.Join("../../examples", e.folder, file) }

// begin returns the command that starts the example on a port.
func (e example) begin(t *testing.T, port int, env ...string) program.Command {
	t.Helper()
	room, programs := e.room(t, e.at(""))
	words := strings.Fields(strings.ReplaceAll(e.start, e.port, strconv.Itoa(port)))
	return program.Command{Path: filepath.Join(programs, words[0]), Args: words[1:], Env: program.Environment(append(env, fmt.Sprint("PORT=", port))...), Folder: room}
}

// run starts an example for tokens of an issuer, and returns its URL.
func (e example) run(t *testing.T, env ...string) string {
	t.Helper()
	port, err := program.Port()
	if err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://localhost:%d", port)
	launch(t, url+e.ready, e.begin(t, port, env...))
	return url
}

const guide = "../../docs/guides/accept-tokens.md"

// TestExamples runs the APIs of examples/ beside a server, and does what the guide and
// their own pages tell a reader to do.
func TestExamples(t *testing.T) {
	t.Parallel()
	s := start(t)
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	s.operate(t, s.password+"\n", strings.Fields("user create ann --role editor --password-stdin")...)
	commands := regexp.MustCompile(`(?m)^doorward (.+)$`).FindAllStringSubmatch(string(text), -1)
	for _, m := range commands {
		s.operate(t, "", strings.Fields(m[1])...)
	}
	if len(commands) < 2 {
		t.Errorf("the guide has only %d commands", len(commands))
	}
	s.operate(t, "", strings.Fields("role create reader --permission orders:read")...)
	s.operate(t, "", strings.Fields("role grant viewer reader")...)
	s.operate(t, "", strings.Fields("resource create other --identifier https://other.example --permission orders:read")...)
	ann, viewer := s.token(t, "ann").AccessToken, s.token(t, "viewer").AccessToken
	elsewhere := s.tokenFor(t, "viewer", "https://other.example")
	for _, e := range examples {
		t.Run(e.folder, func(t *testing.T) {
			t.Parallel()
			api := e.run(t, "ISSUER="+s.url)
			for _, tt := range []struct {
				name, method, path, token string
				status                    int
				says                      []string // in the challenge, or in the body of what went well
			}{
				{"no token", "GET", "/orders", "", 401, []string{"Bearer"}},
				{"no token, to make", "POST", "/orders", "", 401, []string{"Bearer"}},
				{"no token, who am I", "GET", "/me", "", 401, []string{"Bearer"}},
				{"another signature", "GET", "/orders", forge(viewer), 401, []string{`Bearer`, `error="invalid_token"`}},
				{"for another API", "GET", "/orders", elsewhere, 401, []string{`Bearer`, `error="invalid_token"`}},
				{"a permission that is missing", "POST", "/orders", viewer, 403, []string{`Bearer`, `error="insufficient_scope"`, `scope="orders:write"`}},
				{"who am I", "GET", "/me", viewer, 200, []string{`"sub":"0`, `orders:read`, `"viewer"`}},
				{"none yet", "GET", "/orders", viewer, 200, []string{`"items":[]`}},
				{"one made", "POST", "/orders", ann, 201, []string{`"id":1`, `"item":"tea"`, `"by":"0`}},
				{"one there", "GET", "/orders", viewer, 200, []string{`"item":"tea"`}},
			} {
				status, challenge, body := ask(t, tt.method, api+tt.path, tt.token)
				where := challenge
				if tt.status < 400 {
					where = body
				}
				for _, want := range tt.says {
					if !strings.Contains(where, want) {
						t.Errorf("%s: %s is not in %q", tt.name, want, where)
					}
				}
				if status != tt.status || tt.status == 401 && tt.token == "" && strings.Contains(challenge, "error=") {
					t.Errorf("%s: %d %q %s, want %d", tt.name, status, challenge, body, tt.status)
				}
			}
			for _, document := range []string{e.at("README.md"), guide} {
				replay(t, document, "TOKEN="+ann, e.port, api)
			}
			e.quoted(t, string(text))
		})
	}
}

// quoted holds that what the guide shows of an example is part of it, and how it says
// that it is started.
func (e example) quoted(t *testing.T, guide string) {
	t.Helper()
	source, err := os.ReadFile(e.at(e.source))
	if err != nil {
		t.Fatal(err)
	}
	language := map[string]string{".py": "python", ".js": "js"}[filepath.Ext(e.source)]
	parts := regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(guide, -1)
	for _, m := range parts {
		if !strings.Contains(string(source), m[1]) {
			t.Errorf("the guide shows what is not in %s:\n%s", e.source, m[1])
		}
	}
	if len(parts) < 2 {
		t.Errorf("the guide shows only %d parts of %s", len(parts), e.source)
	}
	start := "\n" + e.start + "\n"
	if list, err := os.ReadFile(e.at("package.json")); err == nil && strings.Contains(string(list), `"start": "`+e.start+`"`) {
		start = "\nnpm start\n"
	}
	if !strings.Contains(guide, start) {
		t.Errorf("the guide does not say%s", start)
	}
}

// request is a request that a document shows, with the status of its answer.
var request = regexp.MustCompile(`(?m)^(?:    )?(curl -i .*?) +# (\d{3})\b`)

// replay sends the requests that a document shows, to an API that is not at the port
// that it speaks of, and holds their answers to what it says.
func replay(t *testing.T, document, env, port, api string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, m := range request.FindAllSubmatch(text, -1) {
		command, elsewhere := strings.ReplaceAll(string(m[1]), "http://localhost:"+port, api), !bytes.Contains(m[1], []byte(":"+port+"/"))
		if elsewhere {
			continue // another API's
		}
		n++
		out := sh(t, t.TempDir(), "env", env, "sh", "-c", command+" -s --max-time 10")
		if _, status, _ := strings.Cut(out, " "); !strings.HasPrefix(status, string(m[2])) {
			t.Errorf("%s: %s\nis answered %s, and is said to be answered %s", document, command, out, m[2])
		}
	}
	if n < 3 {
		t.Errorf("%s shows only %d requests to port %s", document, n, port)
	}
}

// tokenFor signs a user in for an API.
func (s *site) tokenFor(t *testing.T, name, resource string) string {
	t.Helper()
	var answer struct {
		Token string `json:"access_token"`
	}
	body := fetch(t, http.MethodPost, s.url+"/auth/login", map[string][]string{"username": {name}, "password": {s.password}, "resource": {resource}})
	if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Token == "" {
		t.Fatal(body)
	}
	return answer.Token
}

// TestExamplesRefuse shows the APIs of examples/ tokens that no server gives: what
// they must refuse for themselves.
func TestExamplesRefuse(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for _, e := range examples {
		t.Run(e.folder, func(t *testing.T) {
			t.Parallel()
			api := e.run(t, "ISSUER="+i.URL, "AUDIENCE=https://orders.example")
			// Twice: after the bad ones, too, the good one is good.
			for range 2 {
				if status, challenge, body := ask(t, http.MethodGet, api+"/orders", i.token(t, i.signer, nil)); status != http.StatusOK {
					t.Fatalf("a good token: %d %s %s", status, challenge, body)
				}
				for name, token := range i.bad(t) {
					status, challenge, body := ask(t, http.MethodGet, api+"/orders", token)
					if status != http.StatusUnauthorized || !strings.Contains(challenge, `error="invalid_token"`) {
						t.Errorf("%s: %d %q %s", name, status, challenge, body)
					}
				}
			}
			for _, scope := range []any{nil, "", "orders", "orders:readx", "xorders:read", "orders:write", "ORDERS:READ", "orders:read,orders:write", "orders:read\torders:write", map[string]any{"orders:read": true}} {
				status, challenge, body := ask(t, http.MethodGet, api+"/orders", i.token(t, i.signer, map[string]any{"scope": scope}))
				if status != http.StatusForbidden && status != http.StatusUnauthorized {
					t.Errorf("the scope %v: %d %q %s", scope, status, challenge, body)
				}
			}
		})
	}
}

// issuer is an authorization server that would sign anything.
type issuer struct {
	*httptest.Server
	signer *jose.Signer
	key    crypto.Signer
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{}
	i.key, i.signer = newSigner(t, "k1", "at+jwt")
	jwk, err := jose.PublicJWK("k1", jose.ES256, i.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, i.URL, i.URL+"/jwks")
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		_, _ = w.Write(keys)
	})
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func newSigner(t *testing.T, kid, typ string) (crypto.Signer, *jose.Signer) {
	t.Helper()
	key, err := jose.Generate(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key, signerOf(t, key, kid, typ)
}

func signerOf(t *testing.T, key crypto.Signer, kid, typ string) *jose.Signer {
	t.Helper()
	s, err := jose.NewSigner(jose.ES256, kid, typ, key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// token returns a good token, but for what is changed; nil takes a claim away.
func (i *issuer) token(t *testing.T, by *jose.Signer, changed map[string]any) string {
	t.Helper()
	text, err := by.Sign(i.claims(t, changed))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (i *issuer) claims(t *testing.T, changed map[string]any) []byte {
	t.Helper()
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": i.URL, "aud": "https://orders.example", "sub": "ann", "client_id": "doorward", "jti": rand.Text(),
		"iat": now, "exp": now + 60, "scope": "orders:read",
	}
	for name, value := range changed {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// bad returns tokens that must be refused, by what is wrong with them.
func (i *issuer) bad(t *testing.T) map[string]string {
	t.Helper()
	now := time.Now().Unix()
	good := i.token(t, i.signer, nil)
	_, stranger := newSigner(t, "k1", "at+jwt")
	_, unknown := newSigner(t, "k2", "at+jwt")
	part := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	_, payload, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(payload, ".")
	confused := part(`{"alg":"HS256","kid":"k1","typ":"at+jwt"}`) + "." + payload
	der, err := x509.MarshalPKIXPublicKey(i.key.Public().(*ecdsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	mac.Write([]byte(confused))
	return map[string]string{
		"expired":                    i.token(t, i.signer, map[string]any{"iat": now - 120, "exp": now - 60}),
		"not yet":                    i.token(t, i.signer, map[string]any{"nbf": now + 60}),
		"without an end":             i.token(t, i.signer, map[string]any{"exp": nil}),
		"of another issuer":          i.token(t, i.signer, map[string]any{"iss": "https://other.example"}),
		"of an issuer with a slash":  i.token(t, i.signer, map[string]any{"iss": i.URL + "/"}),
		"without an issuer":          i.token(t, i.signer, map[string]any{"iss": nil}),
		"for another API":            i.token(t, i.signer, map[string]any{"aud": "https://other.example"}),
		"for a longer API":           i.token(t, i.signer, map[string]any{"aud": "https://orders.example.org"}),
		"for nobody":                 i.token(t, i.signer, map[string]any{"aud": nil}),
		"of nobody":                  i.token(t, i.signer, map[string]any{"sub": nil}),
		"an ID token":                i.token(t, signerOf(t, i.key, "k1", "JWT"), nil),
		"a logout token":             i.token(t, signerOf(t, i.key, "k1", "logout+jwt"), nil),
		"by a stranger":              i.token(t, stranger, nil),
		"by a key of no name":        i.token(t, unknown, nil),
		"none":                       part(`{"alg":"none","kid":"k1","typ":"at+jwt"}`) + "." + payload + ".",
		"none, signed":               part(`{"alg":"none","kid":"k1","typ":"at+jwt"}`) + "." + payload + "." + signature,
		"the public key as a secret": confused + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)),
		"no JSON":                    part("{") + "." + payload + "." + signature,
		"no token":                   "nonsense",
		"dots":                       "..",
	}
}
