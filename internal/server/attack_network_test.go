package server_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/server"
	"github.com/doorward/doorward/internal/servertest"
)

// Who has a /64 of IPv6 sends every sign-in from another address. They wait in one
// queue, and another address is served in its turn.
func TestAttackQueueFromOneNetwork(t *testing.T) {
	s := servertest.Start(t, servertest.Options{
		Set:   map[string]string{"trusted_proxies": "127.0.0.0/8"},
		Tweak: func(o *server.Options) { o.Hasher.Workers, o.Hasher.Queue, o.Hasher.InsecureCost = 1, 4, 4 },
	})
	login := func(ctx context.Context, address, name, password string) (int, error) {
		r, err := http.NewRequestWithContext(ctx, "POST", s.URL+"/auth/login", strings.NewReader("username="+name+"&password="+escaped(password)))
		if err != nil {
			return 0, err
		}
		r.Header.Set("Content-Type", formType)
		r.Header.Set("X-Forwarded-For", address)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		return res.StatusCode, err
	}
	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	var n, full atomic.Int64
	for range 10 {
		flood.Go(func() {
			for ctx.Err() == nil {
				i := n.Add(1) // each for another name: it is the queue that is to be full, not an account locked
				if status, _ := login(ctx, fmt.Sprintf("2001:db8:1:2:%x::1", i%0xffff), fmt.Sprintf("nobody%d", i), "wrong"); status == http.StatusTooManyRequests {
					full.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	within(t, 20*time.Second, "the queue is full", func() bool { return full.Load() > 20 })
	for i := range 3 {
		for _, address := range []string{"192.0.2.7", "2001:db8:1:3::1"} {
			if status, err := login(t.Context(), address, servertest.Admin, servertest.Password); status != http.StatusOK {
				t.Errorf("try %d from %s: %d, %v", i, address, status, err)
			}
		}
	}
	stop()
	flood.Wait()
	http.DefaultClient.CloseIdleConnections()
}
