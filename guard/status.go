package guard

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	maxLists    = 64        // that are kept
	maxListText = 2 << 20   // bytes of a list as it is signed,
	maxListBits = 8 << 20   // and unpacked
	maxListTTL  = time.Hour // however long the issuer lets it be kept
	minListTTL  = time.Second
	listTime    = 3 * time.Second // for fetching one
)

// lists reads the status lists that tokens name, and keeps them for as long as their
// issuer lets them be kept ("ttl").
type lists struct {
	fetcher
	keys keySource
	now  func() time.Time

	mu   sync.Mutex
	kept map[string]*list
}

// list is a status list, and whether it is being fetched.
type list struct {
	uri string

	mu     sync.Mutex
	flight *flight
	retry  time.Time // no fetch before this
	err    error     // of the last one

	bits    []byte
	width   int // bits of a token
	at      time.Time
	ttl     time.Duration
	expires time.Time
}

func newLists(issuer string, s *settings, keys keySource) *lists {
	const kept = 2
	return &lists{fetcher: newFetcher(issuer, s, kept), keys: keys, now: s.now, kept: map[string]*list{}}
}

// void reports whether the list says that a token is not valid. An error says that this
// is not known; with stale what was known last is told with it.
func (l *lists) void(ctx context.Context, at Status, stale bool) (bool, error) {
	one := l.of(at.URI)
	bits, width, err := one.fresh(ctx, l)
	if bits == nil || err != nil && !stale {
		return false, err
	}
	i := at.Index * int64(width)
	if i/8 >= int64(len(bits)) {
		return false, fmt.Errorf("%w: its place is beyond its status list", ErrRevoked)
	}
	return bits[i/8]>>(i%8)&(1<<width-1) != 0, err
}

// of returns the list at a URI. Only an issuer's tokens name any, so there are few.
func (l *lists) of(uri string) *list {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.kept[uri]
	if one == nil {
		if len(l.kept) >= maxLists {
			clear(l.kept)
		}
		one = &list{uri: uri}
		l.kept[uri] = one
	}
	return one
}

// fresh returns the list's bits, fetched if they are too old. With an error come those
// that were known last, if any.
func (one *list) fresh(ctx context.Context, l *lists) (bits []byte, width int, err error) {
	one.mu.Lock()
	now := l.now()
	if age := now.Sub(one.at); one.bits != nil && age >= 0 && age < one.ttl && now.Before(one.expires) {
		bits, width = one.bits, one.width
		one.mu.Unlock()
		return bits, width, nil
	}
	f := one.flight
	if f == nil && now.Before(one.retry) {
		defer one.mu.Unlock()
		return one.bits, one.width, one.err
	}
	if f == nil {
		f = &flight{make(chan struct{})}
		one.flight = f
		go one.fetch(l, f) //nolint:gosec // for everybody who waits: no request's context ends it
	}
	one.mu.Unlock()
	err = f.wait(ctx)
	one.mu.Lock()
	defer one.mu.Unlock()
	if err == nil {
		err = one.err
	}
	return one.bits, one.width, err
}

// fetch fetches a list for everybody who waits.
func (one *list) fetch(l *lists, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), listTime)
	defer cancel()
	read, err := l.read(ctx, one.uri)
	one.mu.Lock()
	defer one.mu.Unlock()
	if one.err = err; err != nil {
		one.retry = l.now().Add(retryTime)
	} else {
		one.bits, one.width, one.at, one.ttl, one.expires = read.bits, read.width, l.now(), read.ttl, read.expires
	}
	one.flight = nil
	close(f.done)
}

// statusList is what a list says.
type statusList struct {
	bits    []byte
	width   int
	ttl     time.Duration
	expires time.Time
}

var (
	errListType = errors.New("is not a status list")
	errList     = errors.New("a claim of the status list is missing or has the wrong form")
)

// read fetches a list and verifies it (draft-ietf-oauth-status-list, Section 8.3).
func (l *lists) read(ctx context.Context, uri string) (statusList, error) {
	if err := checkURL(uri); err != nil {
		return statusList{}, fmt.Errorf("the status list %.200q %w", uri, err)
	}
	if strings.HasPrefix(l.issuer, "https:") && !strings.HasPrefix(uri, "https:") {
		return statusList{}, fmt.Errorf("the status list %.200q %w", uri, errPlainHTTP)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return statusList{}, err
	}
	req.Header.Set("Accept", "application/statuslist+jwt")
	req.Header.Set("Accept-Encoding", "identity")
	resp, err := l.client.Do(req)
	if err != nil {
		return statusList{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return statusList{}, statusError{url: uri, status: resp.StatusCode}
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxListText+1))
	if err != nil {
		return statusList{}, err
	}
	if len(text) > maxListText {
		return statusList{}, fmt.Errorf("%s: over %d bytes", uri, maxListText)
	}
	s, err := l.verify(ctx, uri, string(text))
	if err != nil {
		return statusList{}, fmt.Errorf("%s: %w", uri, err)
	}
	return s, nil
}

func (l *lists) verify(ctx context.Context, uri, text string) (statusList, error) {
	j, err := parseJWS(text)
	if err != nil {
		return statusList{}, err
	}
	if !strings.EqualFold(j.header.typ, "statuslist+jwt") && !strings.EqualFold(j.header.typ, "application/statuslist+jwt") {
		return statusList{}, fmt.Errorf("%w: its type is %.40q", errListType, j.header.typ)
	}
	set, err := l.keys.current(ctx)
	if err != nil {
		return statusList{}, err
	}
	key := set.key(j.header.kid)
	if key == nil {
		if key = l.keys.newer(ctx, set).key(j.header.kid); key == nil {
			return statusList{}, ErrUnknownKey
		}
	}
	if err := j.verify(key); err != nil {
		return statusList{}, err
	}
	payload, err := decode(j.payload)
	if err != nil {
		return statusList{}, err
	}
	return l.claims(uri, string(payload))
}

func (l *lists) claims(uri, payload string) (statusList, error) {
	s := statusList{ttl: minListTTL}
	issuer, subject, packed := l.issuer, "", ""
	issued, expires, ttl := int64(-1), int64(-1), int64(-1)
	err := readObject(payload, func(in *scanner, name string) {
		switch name {
		case "iss":
			issuer = in.str()
		case "sub":
			subject = in.str()
		case "iat":
			issued = in.date()
		case "exp":
			expires = in.date()
		case "ttl":
			ttl = in.date()
		case "status_list":
			in.object(func(in *scanner, name string) {
				switch name {
				case "bits":
					s.width = int(min(in.date(), 9))
				case "lst":
					packed = in.str()
				default:
					in.skip()
				}
			})
		default:
			in.skip()
		}
	})
	now := l.now()
	switch {
	case err != nil:
		return statusList{}, fmt.Errorf("%w: %w", errList, err)
	case issuer != l.issuer:
		return statusList{}, ErrIssuer
	case subject != uri:
		return statusList{}, fmt.Errorf("%w: sub", errList)
	case issued < 0 || time.Unix(issued, 0).After(now.Add(time.Minute)):
		return statusList{}, fmt.Errorf("%w: iat", errList)
	case expires >= 0 && !now.Before(time.Unix(expires, 0)):
		return statusList{}, ErrExpired
	case ttl == 0:
		return statusList{}, fmt.Errorf("%w: ttl", errList)
	case s.width != 1 && s.width != 2 && s.width != 4 && s.width != 8:
		return statusList{}, fmt.Errorf("%w: bits", errList)
	}
	s.expires = now.Add(maxListTTL)
	if expires >= 0 {
		s.expires = time.Unix(expires, 0)
	}
	if ttl > 0 {
		s.ttl = min(max(time.Duration(min(ttl, int64(maxListTTL/time.Second)))*time.Second, minListTTL), maxListTTL)
	}
	s.bits, err = unpack(packed)
	return s, err
}

// unpack returns the bits of a list, of which a small text may make too many.
func unpack(packed string) ([]byte, error) {
	b, err := decode(packed)
	if err != nil {
		return nil, fmt.Errorf("%w: lst", errList)
	}
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: lst: %w", errList, err)
	}
	bits, err := io.ReadAll(io.LimitReader(z, maxListBits+1))
	if err != nil {
		return nil, fmt.Errorf("%w: lst: %w", errList, err)
	}
	if len(bits) == 0 || len(bits) > maxListBits {
		return nil, fmt.Errorf("%w: lst: its size", errList)
	}
	return bits, nil
}
