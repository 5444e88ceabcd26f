// Command revoked measures how soon an API refuses what was revoked: from the answer to
// the revocation until guard refuses the token, with many APIs that follow the server and
// many revocations a second.
//
//	go run ./bench/revoked -db postgres -servers 2
//
// The APIs and the load come from this machine too and share its cores.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/doorward/doorward/bench/seed"
	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/storm/program"
	"github.com/doorward/doorward/internal/testpg"
)

func main() {
	o := options{}
	flag.StringVar(&o.db, "db", "sqlite", "the database: sqlite or postgres")
	flag.IntVar(&o.servers, "servers", 1, "how many servers share it; what one revokes, the APIs of the last hear of")
	flag.IntVar(&o.apis, "apis", 100, "how many APIs follow")
	flag.IntVar(&o.rate, "rate", 1000, "revocations a second")
	flag.DurationVar(&o.long, "for", 10*time.Second, "for how long")
	flag.Parse()
	if err := run(context.Background(), o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "revoked:", err)
		os.Exit(1)
	}
}

type options struct {
	db                  string
	servers, apis, rate int
	long                time.Duration
}

// site are the servers, and who is signed in.
type site struct {
	issuer string
	urls   []string
	active []seed.Active
	client *http.Client
}

func run(ctx context.Context, o options, out io.Writer) error {
	folder, err := os.MkdirTemp("", "doorward-revoked-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	dsn := "sqlite:" + filepath.Join(folder, "doorward.db")
	if o.db == "postgres" {
		pg, err := testpg.Start(ctx, testpg.Options{Durable: true})
		if err != nil {
			return err
		}
		defer pg.Stop() //nolint:errcheck // nothing of it is kept
		if dsn, err = pg.NewDatabase(ctx, "revoked"); err != nil {
			return err
		}
	}
	s, stop, err := newSite(ctx, o, folder, dsn)
	if err != nil {
		return err
	}
	defer stop()
	tokens, err := s.tokens(ctx)
	if err != nil {
		return err
	}
	apis, err := s.apis(ctx, o, tokens[0])
	if err != nil {
		return err
	}
	took, err := s.revoke(ctx, o, tokens, apis)
	if err != nil {
		return err
	}
	slices.Sort(took)
	at := func(q float64) time.Duration {
		return took[min(len(took)-1, int(q*float64(len(took))))].Round(time.Millisecond)
	}
	fmt.Fprintf(out, "%s, %d server(s), %d APIs, %d revocations at %d/s: refused after p50 %v, p95 %v, p99 %v, at the most %v\n",
		o.db, o.servers, o.apis, len(took), o.rate, at(.5), at(.95), at(.99), took[len(took)-1].Round(time.Millisecond))
	return nil
}

// newSite starts the servers, with as many people signed in as will be revoked.
func newSite(ctx context.Context, o options, folder, dsn string) (*site, func(), error) {
	binary, err := program.Build(ctx, folder, "cmd/doorward")
	if err != nil {
		return nil, nil, err
	}
	s := &site{client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}}
	master := secret.NewMaster().Reveal()
	var servers []*program.Process
	stop := func() {
		for _, p := range servers {
			p.Kill()
		}
	}
	for n := range o.servers {
		port, err := program.Port()
		if err != nil {
			return nil, stop, err
		}
		u := fmt.Sprintf("http://127.0.0.1:%d", port)
		s.urls = append(s.urls, u)
		if n == 0 {
			s.issuer = u
		}
		c := program.Command{Path: binary, Folder: folder, Args: []string{"migrate"}, Env: program.Environment("DOORWARD_ISSUER="+s.issuer,
			fmt.Sprintf("DOORWARD_LISTEN=127.0.0.1:%d", port), "DOORWARD_DATABASE="+dsn, "DOORWARD_MASTER_KEY="+master, "DOORWARD_LOG_LEVEL=warn")}
		if n == 0 {
			if _, err := program.Run(ctx, c, ""); err != nil {
				return nil, stop, err
			}
			users := int(o.long.Seconds()*float64(o.rate)) + o.apis
			if s.active, err = seed.Seed(ctx, seed.Options{DSN: dsn, Users: users, Active: users, Audience: s.issuer}); err != nil {
				return nil, stop, err
			}
		}
		c.Args = []string{"serve"}
		p, err := program.Start(c)
		if err != nil {
			return nil, stop, err
		}
		servers = append(servers, p)
		if err := p.Ready(ctx, u+"/readyz"); err != nil {
			return nil, stop, fmt.Errorf("%w\n%s", err, p.Log())
		}
	}
	return s, stop, nil
}

// post sends a form and returns the answer of 200.
func (s *site) post(ctx context.Context, place string, form url.Values) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, place, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %s", place, a.Status, body)
	}
	return body, err
}

// tokens returns an access token of each who is signed in.
func (s *site) tokens(ctx context.Context) ([]string, error) {
	tokens := make([]string, len(s.active))
	return tokens, each(len(tokens), 16, func(i int) error {
		body, err := s.post(ctx, s.urls[0]+"/auth/refresh", url.Values{"refresh_token": {s.active[i].Refresh}})
		if err != nil {
			return err
		}
		var t struct {
			Access string `json:"access_token"`
		}
		err = json.Unmarshal(body, &t)
		tokens[i] = t.Access
		return err
	})
}

// each does something n times, so many at once.
func each(n, workers int, do func(i int) error) error {
	next := make(chan int)
	errs := make(chan error, workers)
	for range workers {
		go func() {
			var err error
			for i := range next {
				if err == nil {
					err = do(i)
				}
			}
			errs <- err
		}()
	}
	for i := range n {
		next <- i
	}
	close(next)
	var all error
	for range workers {
		all = errors.Join(all, <-errs)
	}
	return all
}

// elsewhere sends the requests for the issuer to another server.
type elsewhere struct{ from, to string }

func (e elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host, r.Host = strings.TrimPrefix(e.to, "http://"), strings.TrimPrefix(e.from, "http://")
	return http.DefaultTransport.RoundTrip(r)
}

// apis returns the APIs, once they follow the last server.
func (s *site) apis(ctx context.Context, o options, token string) ([]*guard.Guard, error) {
	list := make([]*guard.Guard, o.apis)
	last := &http.Client{Transport: elsewhere{s.issuer, s.urls[len(s.urls)-1]}}
	err := each(len(list), 16, func(i int) error {
		var err error
		if list[i], err = guard.New(s.issuer, guard.Audience(s.issuer), guard.HTTPClient(last), guard.Logger(slog.New(slog.DiscardHandler))); err != nil {
			return err
		}
		_, err = list[i].Verify(ctx, token)
		return err
	})
	time.Sleep(2 * time.Second)
	return list, err
}

// revoke revokes tokens at the first server, at a rate, and returns how long after the
// answer one of the APIs refused each.
func (s *site) revoke(ctx context.Context, o options, tokens []string, apis []*guard.Guard) ([]time.Duration, error) {
	tokens = tokens[1:]
	took := make([]time.Duration, int(o.long.Seconds()*float64(o.rate)))
	errs := make(chan error, len(took))
	var begun sync.WaitGroup
	start := time.Now()
	for i := range took {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(o.rate))))
		begun.Go(func() {
			api := apis[i%len(apis)]
			if _, err := api.Verify(ctx, tokens[i]); err != nil {
				errs <- fmt.Errorf("before it was revoked: %w", err)
				return
			}
			if _, err := s.post(ctx, s.urls[0]+"/oauth2/revoke", url.Values{"token": {tokens[i]}, "client_id": {"doorward"}}); err != nil {
				errs <- err
				return
			}
			for at := time.Now(); ; time.Sleep(5 * time.Millisecond) {
				_, err := api.Verify(ctx, tokens[i])
				took[i] = time.Since(at)
				if errors.Is(err, guard.ErrRevoked) {
					return
				}
				if err != nil || took[i] > 30*time.Second {
					errs <- fmt.Errorf("after %v: %w", took[i], err)
					return
				}
			}
		})
	}
	begun.Wait()
	close(errs)
	return took, <-errs
}
