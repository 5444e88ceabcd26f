package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/jose"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
	"github.com/doorward/doorward/internal/store/storetest"
)

// jwks returns the published keys, by their ids.
func jwks(t *testing.T, s *servertest.Site) (list []map[string]string, ids []string) {
	t.Helper()
	var set struct{ Keys []map[string]string }
	s.Send(t, "GET", "/oauth2/jwks", "", "").JSON(t, &set)
	for _, k := range set.Keys {
		ids = append(ids, k["kid"])
	}
	return set.Keys, ids
}

// kid returns the id of the key that signed a token.
func kid(t *testing.T, token string) string {
	t.Helper()
	header, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
	if err != nil {
		t.Fatal(err)
	}
	var h struct{ Kid string }
	if err := json.Unmarshal(header, &h); err != nil {
		t.Fatal(err)
	}
	return h.Kid
}

// parts returns the numbers of a private key that nobody may see.
func parts(t *testing.T, key any) (numbers [][]byte) {
	t.Helper()
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{d}
	case ed25519.PrivateKey:
		return [][]byte{k.Seed()}
	case *rsa.PrivateKey:
		return [][]byte{k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes(), k.Precomputed.Dp.Bytes()}
	}
	t.Fatalf("a %T", key)
	return nil
}

func TestAttackKM001OnlyPublicParts(t *testing.T) {
	members := map[string][]string{
		"ES256": {"alg", "crv", "kid", "kty", "use", "x", "y"},
		"EdDSA": {"alg", "crv", "kid", "kty", "use", "x"},
		"RS256": {"alg", "e", "kid", "kty", "n", "use"},
		"PS256": {"alg", "e", "kid", "kty", "n", "use"},
	}
	for alg, want := range members {
		t.Run(alg, func(t *testing.T) {
			var seen strings.Builder
			var numbers [][]byte
			log := logged(t, func() {
				s := servertest.Start(t, servertest.Options{Set: map[string]string{"tokens.signing_alg": alg}})
				keys, _ := jwks(t, s)
				if len(keys) != 1 {
					t.Fatalf("%d keys", len(keys))
				}
				var names []string
				for name := range keys[0] {
					names = append(names, name)
				}
				slices.Sort(names)
				if !slices.Equal(names, want) || keys[0]["use"] != "sig" || keys[0]["alg"] != alg || keys[0]["kid"] == "" {
					t.Errorf("%v", keys[0])
				}
				view, err := s.Core.Keys.View()
				if err != nil {
					t.Fatal(err)
				}
				numbers = parts(t, view.Published[0].Private)
				token := s.Login(t, servertest.Admin).Access
				if kid(t, token) != keys[0]["kid"] {
					t.Error("the token names another key")
				}
				for _, path := range append([]string{"/nosuch", "/oauth2/nosuch"}, paths(s)...) {
					a := s.Call(t, token, "GET", path, nil)
					seen.WriteString(a.Body + without(a.Header))
				}
				db := database(t, s)
				for _, name := range tables(t, db) {
					seen.WriteString(strings.Join(table(t, db, name), "\n"))
				}
				s.Stop()
			})
			for _, n := range numbers {
				for _, form := range []string{string(n), base64.RawURLEncoding.EncodeToString(n), base64.StdEncoding.EncodeToString(n)} {
					if strings.Contains(seen.String(), form) || strings.Contains(log, form) {
						t.Error("a private number of the key is in an answer, in the database or in the log")
					}
				}
			}
		})
	}
}

// paths are the addresses of all GET routes.
func paths(s *servertest.Site) (list []string) {
	for _, line := range s.Server.SiteMap() {
		if method, path := address(line.Pattern); method == http.MethodGet {
			list = append(list, path)
		}
	}
	return list
}

// While keys are rotated, every token verifies at every server, and each key is
// published everywhere before it signs.
func TestAttackKM002RotationUnderLoad(t *testing.T) {
	t.Parallel()
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		sites[0].User(t, "ann", "viewer")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var verified atomic.Int64
		var signers sync.Map // the ids of the keys that have signed
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				tokens := sites[i%len(sites)].Login(t, "ann")
				for n := 0; ctx.Err() == nil; n++ {
					issues, verifies := sites[n%len(sites)], sites[(n+1)%len(sites)]
					tokens = pair(t, issues.Refresh(t, tokens.Refresh))
					signers.Store(kid(t, tokens.Access), true)
					if a := verifies.Call(t, tokens.Access, "GET", "/users/me", nil); a.Status != http.StatusOK {
						t.Errorf("%d %s", a.Status, a.Body)
					}
					verified.Add(1)
				}
			})
		}
		for range 3 {
			// Ahead of time: longer than servers take to hear of it.
			k, err := sites[0].Core.Keys.Rotate(t.Context(), servertest.Operator, 1200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range sites {
				within(t, time.Second, "the key is published", func() bool { _, ids := jwks(t, s); return slices.Contains(ids, k.ID) })
			}
			if _, signed := signers.Load(k.ID); signed {
				t.Error("a key signs that was only just published")
			}
			within(t, 3*time.Second, "the key signs", func() bool { _, signed := signers.Load(k.ID); return signed })
		}
		cancel()
		all.Wait()
		if verified.Load() < 50 {
			t.Errorf("%d tokens: too few to prove anything", verified.Load())
		}
		if _, ids := jwks(t, sites[0]); len(ids) != 4 {
			t.Errorf("%d keys are published; each stays until its last token has expired", len(ids))
		}
	})
}

// A key that is known to others: what it signed is refused at once, and everybody
// goes on with the new one.
func TestAttackKM003EmergencyRevocation(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		sites := twoReplicas(t, dsn, nil)
		does, other := sites[0], sites[len(sites)-1]
		does.User(t, "ann", "viewer")
		tokens := does.Login(t, "ann")
		for _, s := range sites {
			if me(t, s, tokens.Access) != http.StatusOK {
				t.Fatal("refused before")
			}
		}
		old := kid(t, tokens.Access)
		if err := does.Core.Keys.Retire(t.Context(), servertest.Operator, old); err == nil {
			t.Error("the only key was withdrawn: nothing signs any more")
		}
		next, err := does.Core.Keys.Rotate(t.Context(), servertest.Operator, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := does.Core.Keys.Retire(t.Context(), servertest.Operator, old); err != nil {
			t.Fatal(err)
		}
		unauthorized(t, "a token of the old key", does.Call(t, tokens.Access, "GET", "/users/me", nil))
		within(t, time.Second, "the other one refuses it", func() bool { return me(t, other, tokens.Access) == http.StatusUnauthorized })
		for _, s := range sites {
			if _, ids := jwks(t, s); !slices.Equal(ids, []string{next.ID}) {
				t.Errorf("published: %v", ids)
			}
			tokens = pair(t, s.Refresh(t, tokens.Refresh))
			if kid(t, tokens.Access) != next.ID || me(t, does, tokens.Access) != http.StatusOK || me(t, other, tokens.Access) != http.StatusOK {
				t.Error("a refreshed token is refused")
			}
		}
	})
}

// A server that cannot open its keys does not start, and makes no others.
func TestAttackKM004BadKeysAtTheStart(t *testing.T) {
	storetest.EachDSN(t, func(t *testing.T, dsn string) {
		s := servertest.Start(t, servertest.Options{DSN: dsn})
		right := master(t, s)
		s.Login(t, servertest.Admin)
		s.Stop()
		db := database(t, s)
		before := number(t, db, "SELECT COUNT(*) FROM signing_keys")
		file := func(text string, mode os.FileMode) []string {
			path := filepath.Join(t.TempDir(), "master.key")
			if err := os.WriteFile(path, []byte(text), mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
			return []string{"DOORWARD_MASTER_KEY_FILE=" + path}
		}
		start := func(environ ...string) error {
			c, err := config.Read(config.Sources{Mode: config.Serve, Environ: append(environ, "DOORWARD_ISSUER=http://127.0.0.1:8080", "DOORWARD_DATABASE="+dsn)})
			if err != nil {
				return err
			}
			log, _ := server.NewLog(c.Log, io.Discard)
			k, err := server.NewCore(t.Context(), c, log)
			if err != nil {
				return err
			}
			return k.Close()
		}
		if err := start(file(right.Reveal(), 0o600)...); err != nil {
			t.Fatalf("the right key: %v", err)
		}
		for name, tt := range map[string]struct {
			environ []string
			says    string
		}{
			"missing":     {nil, "master_key"},
			"no file":     {[]string{"DOORWARD_MASTER_KEY_FILE=" + filepath.Join(t.TempDir(), "nosuch")}, "nosuch"},
			"another one": {file(secret.NewMaster().Reveal(), 0o600), "another master key"},
			"truncated":   {file(right.Reveal()[:20], 0o600), "32 bytes"},
			"empty":       {file("", 0o600), "master"},
			"for all":     {file(right.Reveal(), 0o644), "chmod 600"},
			"writable":    {file(right.Reveal(), 0o620), "chmod 600"},
		} {
			err := start(tt.environ...)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), right.Reveal()) {
				t.Errorf("%s: %v, want something about %q", name, err, tt.says)
			}
		}
		for what, statement := range map[string]string{
			"a key that was altered":  "UPDATE signing_keys SET sealed = (SELECT sealed FROM peppers LIMIT 1)",
			"a key of another's name": "UPDATE signing_keys SET id = 'other' WHERE purpose = 'access'",
		} {
			if _, err := db.Exec(statement); err != nil {
				t.Fatal(err)
			}
			if err := start(file(right.Reveal(), 0o600)...); err == nil || !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%s: %v", what, err)
			}
		}
		if after := number(t, db, "SELECT COUNT(*) FROM signing_keys"); after != before {
			t.Errorf("%d keys, before there were %d", after, before)
		}
	})
}

// broken is a source of randomness that fails.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

// Without randomness nothing is issued: the process ends.
func TestAttackKM005NoRandomness(t *testing.T) {
	const child = "DOORWARD_TEST_NO_RANDOMNESS"
	if os.Getenv(child) != "" {
		s := servertest.Start(t, servertest.Options{})
		s.Login(t, servertest.Admin)
		_, _ = os.Stdout.WriteString("it begins\n")
		rand.Reader = broken{}
		a := s.Form(t, "/auth/login", "username", servertest.Admin, "password", servertest.Password)
		_, _ = os.Stdout.WriteString("it was answered: " + a.Body + "\n")
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestAttackKM005NoRandomness$")
	cmd.Env = append(os.Environ(), child+"=1", "DOORWARD_TEST_LOGDIR=")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "it begins") || strings.Contains(string(out), "it was answered") || !strings.Contains(string(out), "fatal error") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every algorithm that may be chosen signs what is verified, and another one is
// published before it signs.
func TestAnotherAlgorithm(t *testing.T) {
	dsn := storetest.SQLite(t)
	first := servertest.Start(t, servertest.Options{DSN: dsn})
	token := first.Login(t, servertest.Admin).Access
	key := master(t, first)
	issuer := first.URL
	first.Stop()
	second := servertest.Start(t, servertest.Options{DSN: dsn, Master: key, Set: map[string]string{"issuer": issuer, "tokens.signing_alg": string(jose.EdDSA)}})
	if _, ids := jwks(t, second); len(ids) != 2 {
		t.Errorf("%v", ids)
	}
	if me(t, second, token) != http.StatusOK || kid(t, second.Login(t, servertest.Admin).Access) != kid(t, token) {
		t.Error("the new algorithm signs before anybody knows its key")
	}
}
