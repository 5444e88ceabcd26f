package admin

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/web"
)

// AuditEvent is an event as the API shows it. All but Leaf and Parts are fields
// of its leaf, by the names that they have there.
type AuditEvent struct {
	Leaf    *int64              `json:"leaf" doc:"Its place in the tree; null until it has one, within a second"`
	V       int                 `json:"v" doc:"The version of the form of the leaf"`
	ID      string              `json:"id"`
	At      string              `json:"at"`
	Action  string              `json:"action"`
	OWASP   string              `json:"owasp,omitempty" doc:"Its name in the OWASP Logging Vocabulary"`
	Outcome string              `json:"outcome" doc:"success, failure or denied"`
	Actor   string              `json:"actor" doc:"Kind and id of who acted"`
	Client  string              `json:"client,omitempty"`
	Target  string              `json:"target,omitempty" doc:"Kind and id of what it was done to"`
	Reason  string              `json:"reason,omitempty" doc:"Why it did not succeed"`
	Request string              `json:"request,omitempty" doc:"The id of the request"`
	Detail  map[string]string   `json:"detail,omitempty"`
	Private []string            `json:"private,omitempty" doc:"The salted digests of what it tells of persons"`
	Lists   map[string][]string `json:"lists,omitempty"`
	Persons []string            `json:"persons,omitempty" doc:"Whom each of the digests is about, where that is not who acted and then the target"`
	Parts   []AuditPart         `json:"parts" doc:"What it tells of persons, one for each digest"`
}

// AuditPart is what an event tells of one person.
type AuditPart struct {
	Person string            `json:"person,omitempty" doc:"An account's id; absent if nobody is known"`
	Erased bool              `json:"erased,omitempty" doc:"It was erased"`
	Facts  map[string]string `json:"facts,omitempty" doc:"Like address, user_agent and username"`
}

// ShowEvent returns an event of the log as the API shows it.
func ShowEvent(e audit.Entry) (AuditEvent, error) {
	v := AuditEvent{Parts: []AuditPart{}}
	if err := json.Unmarshal(e.Public, &v); err != nil {
		return v, err
	}
	v.Leaf = nil
	if e.Leaf >= 0 {
		v.Leaf = &e.Leaf
	}
	v.Parts = make([]AuditPart, len(v.Private))
	for i := range v.Parts {
		v.Parts[i].Erased = true
	}
	for _, p := range e.Private {
		if p.Number < 0 || p.Number >= len(v.Parts) {
			return v, errors.New("an event has a private part that its leaf does not know")
		}
		shown := AuditPart{Person: p.Person}
		if err := json.Unmarshal(p.Data, &shown.Facts); err != nil {
			return v, err
		}
		v.Parts[p.Number] = shown
	}
	return v, nil
}

type listEvents struct {
	Actor   string `query:"actor" maxLength:"192" doc:"Who acted, like user:01h… or cli:ops"`
	Target  string `query:"target" maxLength:"192" doc:"What it was done to, like family:01h… or role:editor"`
	Action  string `query:"action" maxLength:"64" doc:"An action, or all of a noun, like user.*"`
	Outcome string `query:"outcome" enum:"success,failure,denied"`
	From    string `query:"from" maxLength:"40" doc:"Not before this time (RFC 3339)"`
	To      string `query:"to" maxLength:"40" doc:"Before this time (RFC 3339)"`
	Order   string `query:"order" enum:"desc,asc,log" default:"desc" doc:"By time, or, to follow the log, by leaf: then next is never null, and the same next again means that there is nothing new"`
	Leaf    int64  `query:"leaf" minimum:"-1" default:"-1" doc:"The first leaf, where the order is log"`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After   string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type eventPage struct {
	Body struct {
		Items []AuditEvent `json:"items"`
		Next  *string      `json:"next" doc:"What to send as after for the next page; null at the end. A page may be short and have a next one"`
	}
}

// AuditCount is how often one credential did one thing in one minute.
type AuditCount struct {
	Minute     string `json:"minute"`
	Credential string `json:"credential" doc:"Like family:01h…; empty if there was none, or there were too many"`
	Action     string `json:"action" doc:"The route, like GET /users/me"`
	Outcome    string `json:"outcome"`
	Times      int64  `json:"times"`
}

type listCounts struct {
	Credential string `query:"credential" maxLength:"192" doc:"Like family:01h…"`
	From       string `query:"from" maxLength:"40" doc:"Not before this minute (RFC 3339); the default is a day before to"`
	To         string `query:"to" maxLength:"40" doc:"Before this minute (RFC 3339); the default is now"`
	Limit      int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After      string `query:"after" maxLength:"600" doc:"next of the page before"`
}

type countPage struct {
	Body struct {
		Items []AuditCount `json:"items"`
		Next  *string      `json:"next" doc:"What to send as after for the next page; null at the end. A page may be short and have a next one"`
	}
}

func (a *API) audit() {
	handle(a, operation("list-audit-events", http.MethodGet, "/audit/events", "audit", "Read the audit log"), a.listEvents)
	handle(a, operation("list-audit-counts", http.MethodGet, "/audit/counts", "audit", "Read how often credentials did what"), a.listCounts)
}

func (a *API) listEvents(ctx context.Context, in *listEvents) (*eventPage, error) {
	s := audit.Search{
		Filter: audit.Filter{Actor: in.Actor, Target: in.Target, Action: in.Action, Outcome: audit.Outcome(in.Outcome)},
		Order:  audit.Order(in.Order), Limit: in.Limit,
	}
	var err error
	if s.From, s.To, err = between(in.From, in.To); err != nil {
		return nil, err
	}
	query := []string{"audit events", in.Actor, in.Target, in.Action, in.Outcome, in.From, in.To, in.Order}
	var reading string
	switch {
	case in.Leaf >= 0 && (s.Order != audit.ByLeaf || in.After != ""):
		return nil, fault.At("query.leaf", "it is for the first page in the order log")
	case in.Leaf >= 0:
		s.After = audit.BeforeLeaf(in.Leaf)
	default:
		if s.After, reading, err = a.goOn(ctx, in.After, query); err != nil {
			return nil, err
		}
	}
	found, reading, err := a.Audit.Events(ctx, web.By(ctx), s, reading)
	if err != nil {
		return nil, inQuery(err)
	}
	page := &eventPage{}
	page.Body.Items = make([]AuditEvent, len(found.Entries))
	for i, e := range found.Entries {
		if page.Body.Items[i], err = ShowEvent(e); err != nil {
			return nil, err
		}
	}
	page.Body.Next, err = a.next(ctx, found.Next, reading, query)
	return page, err
}

func (a *API) listCounts(ctx context.Context, in *listCounts) (*countPage, error) {
	s := audit.CountSearch{Credential: in.Credential, Limit: in.Limit}
	var err error
	if s.From, s.To, err = between(in.From, in.To); err != nil {
		return nil, err
	}
	if s.To.IsZero() {
		s.To = a.Clock.Now()
	}
	if s.From.IsZero() {
		s.From = s.To.Add(-24 * time.Hour)
	}
	query := []string{"audit counts", in.Credential, in.From, in.To}
	position, reading, err := a.goOn(ctx, in.After, query)
	if err != nil {
		return nil, err
	}
	if position != "" {
		if s.After, err = parseCount(position); err != nil {
			return nil, err
		}
	}
	found, reading, err := a.Audit.Counts(ctx, web.By(ctx), s, reading)
	if err != nil {
		return nil, inQuery(err)
	}
	page := &countPage{}
	page.Body.Items = make([]AuditCount, len(found.Counts))
	for i, c := range found.Counts {
		page.Body.Items[i] = AuditCount{Minute: stamp(c.Minute), Credential: c.Credential, Action: c.Action, Outcome: string(c.Outcome), Times: c.Times}
	}
	if found.Next != nil {
		if position, err = formatCount(*found.Next); err != nil {
			return nil, err
		}
		page.Body.Next, err = a.next(ctx, position, reading, query)
	}
	return page, err
}

// between reads two times.
func between(from, to string) (f, t time.Time, err error) {
	if f, err = instant("from", from); err != nil {
		return f, t, err
	}
	t, err = instant("to", to)
	return f, t, err
}

func instant(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.IsZero() {
		return time.Time{}, fault.At("query."+field, "it is a time like 2026-01-31T09:30:00Z (RFC 3339)")
	}
	return t.UTC().Truncate(time.Microsecond), nil
}

// inQuery puts a fault of a filter where its field stands in the request.
func inQuery(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Invalid && f.Field != "" {
		c := *f
		c.Field = "query." + f.Field
		return &c
	}
	return err
}

// A cursor of the log is where to go on, which reading it belongs to, and a MAC
// over both, the caller and the query.

func (a *API) next(ctx context.Context, position, reading string, query []string) (*string, error) {
	if position == "" {
		return nil, nil
	}
	what := base64.RawURLEncoding.EncodeToString([]byte(position)) + "." + reading
	mac, err := a.cursorMAC(ctx, what, query)
	if err != nil {
		return nil, err
	}
	cursor := what + "." + base64.RawURLEncoding.EncodeToString(mac[:16])
	return &cursor, nil
}

func (a *API) goOn(ctx context.Context, cursor string, query []string) (position, reading string, err error) {
	if cursor == "" {
		return "", "", nil
	}
	bad := fault.At("query.after", "it is not the cursor of this list; begin again without it")
	encoded, rest, _ := strings.Cut(cursor, ".")
	reading, _, _ = strings.Cut(rest, ".")
	plain, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(plain) == 0 || !id.Valid(reading) {
		return "", "", bad
	}
	want, err := a.next(ctx, string(plain), reading, query)
	if err != nil {
		return "", "", err
	}
	if !secret.From(*want).Equal(secret.From(cursor)) {
		return "", "", bad
	}
	return string(plain), reading, nil
}

// A count has no id: it is found by all that it counts.

func formatCount(c audit.Count) (string, error) {
	text, err := json.Marshal([]string{stamp(c.Minute), c.Credential, c.Action, string(c.Outcome)})
	return string(text), err
}

func parseCount(position string) (*audit.Count, error) {
	var parts []string
	if err := json.Unmarshal([]byte(position), &parts); err != nil || len(parts) != 4 {
		return nil, errors.New("a cursor that was made here cannot be read")
	}
	minute, err := instant("after", parts[0])
	return &audit.Count{Minute: minute, Credential: parts[1], Action: parts[2], Outcome: audit.Outcome(parts[3])}, err
}
