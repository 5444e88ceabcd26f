package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/doorward/doorward/internal/storm/program"
)

// twins is a storm over two servers on one database: what one has revoked, the
// other refuses within a second, even if one or the other is killed meanwhile.
type twins struct {
	*storm
	servers [2]*twin
	over    chan struct{}

	mu   sync.Mutex
	late []time.Duration // how long after a revocation the other server accepted for the last time
}

// twin is one of the two servers.
type twin struct {
	name    string
	listen  string
	caller  *caller
	process *program.Process
}

func newTwins(s *storm) (*twins, error) {
	t := &twins{storm: s, over: make(chan struct{})}
	for i, name := range []string{"A", "B"} {
		port, err := program.Port()
		if err != nil {
			return nil, err
		}
		at := fmt.Sprintf("127.0.0.1:%d", port)
		t.servers[i] = &twin{name: name, listen: at, caller: &caller{url: "http://" + at, ledger: s.ledger, verdict: s.verdict, sum: s.sum}}
	}
	return t, nil
}

func (t *twins) start(ctx context.Context, w *twin) error {
	c := t.command("serve")
	c.Env = append(c.Env, "DOORWARD_LISTEN="+w.listen)
	began := time.Now()
	t.ledger.begin("server %s starts", w.name)
	var err error
	if w.process, err = program.Start(c); err != nil {
		return err
	}
	if err = w.process.Ready(ctx, w.caller.url+"/readyz"); err != nil {
		return err
	}
	t.starts = append(t.starts, time.Since(began))
	t.ledger.note("server %s is ready", w.name)
	w.caller.renew()
	return nil
}

// run is the whole storm.
func (t *twins) run(ctx context.Context) error {
	const revokers = 4
	if err := t.prepare(ctx); err != nil { // on a server of its own, which then goes
		return err
	}
	t.server.Kill()
	defer func() {
		for _, w := range t.servers {
			if w.process != nil {
				w.process.Kill()
			}
		}
	}()
	for _, w := range t.servers {
		if err := t.start(ctx, w); err != nil {
			return err
		}
	}
	var busy sync.WaitGroup
	for i := range revokers {
		name := fmt.Sprintf("chain-%c", 'a'+i) // an account that prepare made
		r := &revoker{twins: t, name: name, user: t.last.names[name]}
		busy.Go(r.act)
	}
	err := t.blow(ctx)
	close(t.over)
	busy.Wait()
	if err != nil {
		return err
	}
	for _, w := range t.servers {
		if err := w.process.Stop(35 * time.Second); err != nil {
			t.verdict.violated("server "+w.name, "asked to stop, it ended with: %v", err)
		}
		t.inspect(w.process.Log())
	}
	return t.balance(ctx)
}

// balance balances the books once, at the end.
func (t *twins) balance(ctx context.Context) error {
	t.born = time.Now()
	if err := t.quiet(ctx); err != nil {
		return err
	}
	all, err := read(ctx, t.dsn, "")
	if err != nil {
		return err
	}
	all.waiting, all.numbered = 0, all.head // nobody is there to number the last ones
	t.books = newBooks(t.verdict)
	t.books.balance(all)
	return nil
}

// blow kills one server or the other.
func (t *twins) blow(ctx context.Context) error {
	for range t.kills {
		wait(100, 600)
		w := t.servers[pick(2)]
		w.process.Kill()
		t.ledger.note("server %s is killed", w.name)
		t.sum.add("kills")
		t.inspect(w.process.Log())
		wait(1, 200)
		if err := t.start(ctx, w); err != nil {
			return err
		}
		if t.verdict.stop() {
			return nil
		}
	}
	return nil
}

// revoker signs in and has it revoked, in one way after the other.
type revoker struct {
	*twins
	name, user string
}

var errOver = errors.New("the storm is over")

// ask makes a request until it is answered.
func (r *revoker) ask(w *twin, q request) (answer, error) {
	for {
		if a := w.caller.do(r.name, q); a.told() {
			return a, nil
		}
		select {
		case <-r.over:
			return answer{}, errOver
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (r *revoker) act() {
	for {
		here, there := r.servers[0], r.servers[1]
		if pick(2) == 0 {
			here, there = there, here
		}
		if err := r.round(here, there); err != nil {
			return
		}
		select {
		case <-r.over:
			return
		default:
		}
	}
}

// round signs in, has it revoked here, and waits until it is refused there.
func (r *revoker) round(here, there *twin) error {
	manage := func(method, path string, body any) request {
		return request{method: method, path: "/users/" + r.user + path, token: r.admin, body: body}
	}
	for _, q := range []request{manage(http.MethodPatch, "", map[string]string{"status": "active"}), manage(http.MethodPost, "/roles", map[string]string{"role": "viewer"})} {
		if _, err := r.ask(here, q); err != nil {
			return err
		}
	}
	a, err := r.ask(here, request{method: http.MethodPost, path: "/auth/login", form: url.Values{"username": {r.name}, "password": {r.password}}, about: "on " + here.name})
	if err != nil {
		return err
	}
	h, err := tokens(a)
	if err != nil || a.status != http.StatusOK {
		r.verdict.violated(r.name, "login: %v (%v)", a, err)
		return errOver
	}
	me := request{method: http.MethodGet, path: "/users/me", token: h.access}
	if a, err = r.ask(there, me); err != nil {
		return err
	}
	if a.status != http.StatusOK {
		r.verdict.violated(r.name, "signed in on %s, refused on %s: %v", here.name, there.name, a)
		return errOver
	}
	logout := request{method: http.MethodPost, path: "/auth/logout", form: url.Values{"refresh_token": {h.refresh}}, about: "on " + here.name}
	ways := []request{logout, manage(http.MethodPatch, "", map[string]string{"status": "disabled"}), manage(http.MethodDelete, "/roles/viewer", nil)}
	a = here.caller.do(r.name, ways[pick(len(ways))])
	if !a.told() {
		return nil // it may be revoked or not
	}
	r.sum.add("acknowledged revocations")
	return r.refused(here, there, me, time.Now())
}

// refused waits until both servers refuse a token that was revoked here.
func (r *revoker) refused(here, there *twin, me request, revoked time.Time) error {
	me.about = "revoked on " + here.name + ", asked on " + here.name
	if a := here.caller.do(r.name, me); a.told() && a.status != http.StatusUnauthorized {
		r.verdict.violated(r.name, "the server that revoked a token accepts it: %d", a.status)
	}
	me.about = "revoked on " + here.name + ", asked on " + there.name
	var late time.Duration
	for {
		sent := time.Since(revoked)
		a, err := r.ask(there, me)
		if err != nil {
			return err
		}
		if a.status == http.StatusUnauthorized {
			break
		}
		if late = sent; late > r.follow {
			r.verdict.violated(r.name, "%v after the revocation on %s, %s accepts the token: %d", late, here.name, there.name, a.status)
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.late = append(r.late, late)
	return nil
}

// report prints what happened.
func (t *twins) report(w io.Writer) {
	slices.Sort(t.late)
	slices.Sort(t.starts)
	fmt.Fprintf(w, "two servers on one PostgreSQL: %d kills in %v\n", t.sum.get("kills"), time.Since(t.ledger.began).Round(time.Second))
	fmt.Fprintf(w, "  %8d requests, %d without an answer\n", t.sum.get("requests"), t.sum.get("no answer")+t.sum.get("not sent"))
	fmt.Fprintf(w, "  %8d acknowledged revocations\n", t.sum.get("acknowledged revocations"))
	if n := len(t.late); n > 0 {
		fmt.Fprintf(w, "  accepted by the other server for the last time: median %v, 99 %% %v, worst %v after the revocation (promised: %v)\n",
			t.late[n/2].Round(time.Millisecond), t.late[n*99/100].Round(time.Millisecond), t.late[n-1].Round(time.Millisecond), t.follow)
	}
	if n := len(t.starts); n > 0 {
		fmt.Fprintf(w, "  ready again: median %v, worst %v\n", t.starts[n/2].Round(time.Millisecond), t.starts[n-1].Round(time.Millisecond))
	}
	if t.books.last != nil {
		fmt.Fprintf(w, "  at the end: %v\n", t.books)
	}
	t.verdict.print(w)
}
