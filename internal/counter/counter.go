// Package counter keeps attempts and limits in a Redis or Valkey server that all
// servers share, for those who would rather not have them in the database.
//
// Every verb is one round trip, and what must be decided by one is decided by a
// script on one key. The time is the caller's. The server's own is used to
// throw away what had its time, and for nothing else.
package counter

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"

	"github.com/doorward/doorward/internal/clock"
	"github.com/doorward/doorward/internal/limit"
	"github.com/doorward/doorward/internal/secret"
)

var _ limit.Store = (*Counter)(nil)

// Counter is a pool of connections to one server. It is safe for concurrent use.
type Counter struct{ pool *redis.Pool }

const (
	patience    = time.Second // for a connection, and for an answer
	connections = 32
	margin      = time.Hour // how long what had its time is kept all the same
)

// Open returns a Counter for the server at redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE],
// or rediss:// with TLS. It connects when there is something to count: a server
// that does not answer now may later.
func Open(address secret.Text) (*Counter, error) {
	server := address.Reveal()
	if _, err := url.Parse(server); err != nil {
		return nil, errors.New("the address of the counters is not a URL") // the reason may hold the password
	}
	dial := func(ctx context.Context) (redis.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return redis.DialURLContext(ctx, server, redis.DialReadTimeout(patience), redis.DialWriteTimeout(patience),
			redis.DialTLSConfig(&tls.Config{MinVersion: tls.VersionTLS12}), redis.DialClientName("doorward"))
	}
	return &Counter{&redis.Pool{
		DialContext: dial, MaxIdle: connections, MaxActive: connections, Wait: true,
		// After a pause the server may be another one: what is found broken now is
		// not found broken by somebody's sign-in.
		TestOnBorrow: func(c redis.Conn, since time.Time) error {
			if time.Since(since) < time.Second { //nolint:forbidigo // of the pool's own time
				return nil
			}
			_, err := c.Do("PING")
			return err
		},
	}}, nil
}

// Close closes the connections.
func (c *Counter) Close() error { return c.pool.Close() }

// Ping asks whether the server answers.
func (c *Counter) Ping(ctx context.Context) error {
	return c.with(ctx, func(conn redis.Conn) error {
		_, err := conn.Do("PING")
		return err
	})
}

// About is what a server says of itself.
type About struct {
	Version string // like "redis 7.0.15"
	Policy  string // its maxmemory-policy
	Evicts  bool   // it throws keys away that have not had their time
	Forgets bool   // what it counted is lost when it crashes: it writes no log (AOF)
}

// About asks the server about itself.
func (c *Counter) About(ctx context.Context) (a About, err error) {
	err = c.with(ctx, func(conn redis.Conn) error {
		text, err := redis.String(conn.Do("INFO"))
		if err != nil {
			return err
		}
		said := map[string]string{}
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			said[name] = value
		}
		a = About{Version: "redis " + said["redis_version"], Policy: said["maxmemory_policy"]}
		if v := said["valkey_version"]; v != "" {
			a.Version = "valkey " + v
		}
		a.Forgets = said["aof_enabled"] == "0"
		a.Evicts = a.Policy != "noeviction" && a.Policy != "" && said["maxmemory"] != "0"
		return nil
	})
	return a, err
}

// with runs f on a connection of the pool, for which it waits no longer than for
// an answer.
func (c *Counter) with(ctx context.Context, f func(redis.Conn) error) (err error) {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := c.pool.GetContext(waiting)
	if err != nil {
		return fmt.Errorf("the counters do not answer: %w", err)
	}
	defer conn.Close()
	if err := f(conn); err != nil {
		return fmt.Errorf("the counters: %w", err)
	}
	return nil
}

// bucketsOf is the key of a hash with the buckets of one subject, by device. The
// braces keep a key's scripts on one server of a cluster.
func bucketsOf(subject limit.Name) string {
	return "doorward:attempts:{" + hex.EncodeToString(subject[:]) + "}"
}

func markOf(name limit.Name) string { return "doorward:mark:{" + hex.EncodeToString(name[:]) + "}" }

// deviceOf is the field of a bucket.
func deviceOf(k limit.Key) string {
	if k.Device == (limit.Name{}) {
		return "unknown"
	}
	return hex.EncodeToString(k.Device[:])
}

// Bucket returns the attempts that are counted under a key.
func (c *Counter) Bucket(ctx context.Context, k limit.Key) (b limit.Bucket, err error) {
	err = c.with(ctx, func(conn redis.Conn) error {
		text, err := redis.String(conn.Do("HGET", bucketsOf(k.Subject), deviceOf(k)))
		if errors.Is(err, redis.ErrNil) {
			return nil
		} else if err != nil {
			return err
		}
		b, err = parseBucket(text)
		return err
	})
	return b, err
}

// parseBucket reads what print wrote.
func parseBucket(text string) (limit.Bucket, error) {
	var b limit.Bucket
	var last, until int64
	if _, err := fmt.Sscanf(text, bucketForm, &b.Stamp, &b.Round, &b.Tries, &b.Failed, &b.Total, &b.Locks, &last, &until); err != nil {
		return limit.Bucket{}, fmt.Errorf("a bucket cannot be read: %w", err)
	}
	b.Last, b.Until = clock.FromMicro(last), clock.FromMicro(until)
	return b, nil
}

// bucketForm begins with the stamp, which a script reads.
const bucketForm = "%d %d %d %d %d %d %d %d"

func printBucket(b limit.Bucket) string {
	if b == (limit.Bucket{}) {
		return ""
	}
	return fmt.Sprintf(bucketForm, b.Stamp, b.Round, b.Tries, b.Failed, b.Total, b.Locks, clock.Micro(b.Last), clock.Micro(b.Until))
}

// Stamps are compared as text: a number of Lua's has 53 bits.
var swap = redis.NewScript(1, `
local kept = redis.call('HGET', KEYS[1], ARGV[1])
local stamp = '0'
if kept then stamp = string.match(kept, '^%d+') end
if stamp ~= ARGV[2] then return 0 end
if ARGV[3] == '' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1`)

// SwapBucket replaces a bucket if it still is the one that the caller read.
func (c *Counter) SwapBucket(ctx context.Context, k limit.Key, was int64, b limit.Bucket) (swapped bool, err error) {
	err = c.with(ctx, func(conn redis.Conn) error {
		var err error
		swapped, err = redis.Bool(swap.DoContext(ctx, conn, bucketsOf(k.Subject), deviceOf(k), was, printBucket(b), (limit.Keep + margin).Milliseconds()))
		return err
	})
	return swapped, err
}

// ClearBucket deletes the bucket of a key.
func (c *Counter) ClearBucket(ctx context.Context, k limit.Key) error {
	return c.with(ctx, func(conn redis.Conn) error {
		_, err := conn.Do("HDEL", bucketsOf(k.Subject), deviceOf(k))
		return err
	})
}

// ClearBuckets deletes all buckets of a subject.
func (c *Counter) ClearBuckets(ctx context.Context, subject limit.Name) error {
	return c.with(ctx, func(conn redis.Conn) error {
		_, err := conn.Do("DEL", bucketsOf(subject))
		return err
	})
}

// Marks returns the times of names.
func (c *Counter) Marks(ctx context.Context, names ...limit.Name) ([]time.Time, error) {
	marks := make([]time.Time, len(names))
	err := c.with(ctx, func(conn redis.Conn) error {
		for _, name := range names {
			if err := conn.Send("GET", markOf(name)); err != nil {
				return err
			}
		}
		if err := conn.Flush(); err != nil {
			return err
		}
		for i := range names {
			until, err := redis.Int64(conn.Receive())
			if err != nil && !errors.Is(err, redis.ErrNil) {
				return err
			}
			marks[i] = clock.FromMicro(until)
		}
		return nil
	})
	return marks, err
}

// The times are in microseconds, which 53 bits hold until the year 2255.
var push = redis.NewScript(1, `
local now, last, horizon, step = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local mark = tonumber(redis.call('GET', KEYS[1]) or '0')
if mark < now or mark > horizon then mark = now end
mark = string.format('%.0f', math.min(mark + step, last))
redis.call('SET', KEYS[1], mark, 'PX', ARGV[5])
return mark`)

// PushMark moves a meter.
func (c *Counter) PushMark(ctx context.Context, name limit.Name, p limit.Push) (mark time.Time, err error) {
	err = c.with(ctx, func(conn redis.Conn) error {
		until, err := redis.Int64(push.DoContext(ctx, conn, markOf(name), clock.Micro(p.Now), clock.Micro(p.Until), clock.Micro(p.Horizon()),
			p.Step.Microseconds(), (p.Until.Sub(p.Now) + margin).Milliseconds()))
		mark = clock.FromMicro(until)
		return err
	})
	return mark, err
}

var first = redis.NewScript(1, `
local now, horizon = tonumber(ARGV[1]), tonumber(ARGV[3])
local mark = tonumber(redis.call('GET', KEYS[1]) or '0')
local passed = mark <= now or mark > horizon
if passed or mark < tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[4]) end
return passed and 1 or 0`)

// FirstMark remembers a name.
func (c *Counter) FirstMark(ctx context.Context, name limit.Name, p limit.Span) (passed bool, err error) {
	err = c.with(ctx, func(conn redis.Conn) error {
		var err error
		passed, err = redis.Bool(first.DoContext(ctx, conn, markOf(name), clock.Micro(p.Now), clock.Micro(p.Until), clock.Micro(p.Horizon()),
			(p.Until.Sub(p.Now) + margin).Milliseconds()))
		return err
	})
	return passed, err
}
