package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/access"
	"github.com/doorward/doorward/internal/admin"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/policy"
	"github.com/doorward/doorward/internal/rbac"
)

// remote answers cases by a server.
type remote struct {
	url, token string
	client     http.Client
	all        *rbac.Snapshot // its roles, once they were asked for
}

// newRemote returns a judge over a server. The token does not leave the machine in
// the clear.
func newRemote(address, token string) (*remote, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.At("--server", "it is the URL of a server, like https://auth.example.com")
	case u.Scheme != "https" && (u.Scheme != "http" || !config.Address{Host: u.Hostname()}.Loopback()):
		return nil, fault.At("--server", "it begins with https://; plain http is for a server on this machine")
	}
	return &remote{url: strings.TrimSuffix(address, "/"), token: token, client: http.Client{
		Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

const mostAnswer = 16 << 20

// ask makes a request and reads its answer, if there is to be one.
func (r *remote) ask(ctx context.Context, method, path string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, method, r.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if r.token != "" {
		q.Header.Set("Authorization", "Bearer "+r.token)
	}
	q.Header.Set("Content-Type", "application/json")
	a, err := r.client.Do(q)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(io.LimitReader(a.Body, mostAnswer))
	switch {
	case err != nil:
		return err
	case a.StatusCode == http.StatusUnauthorized:
		return fault.New(fault.Unauthenticated, "%s%s: the token is refused", r.url, path)
	case a.StatusCode == http.StatusNotFound:
		return fault.New(fault.NotFound, "%s%s is not there", r.url, path)
	case a.StatusCode/100 != 2:
		return fault.New(fault.Denied, "%s%s answered %d%s", r.url, path, a.StatusCode, detail(text))
	case answer == nil:
		return nil
	}
	return json.Unmarshal(text, answer)
}

// detail returns what an answer says of itself (RFC 9457).
func detail(text []byte) string {
	var problem struct {
		Detail string `json:"detail"`
	}
	if json.Unmarshal(text, &problem) != nil || problem.Detail == "" {
		return ""
	}
	return ": " + problem.Detail
}

// roles asks for all roles, once.
func (r *remote) roles(ctx context.Context) (*rbac.Snapshot, error) {
	if r.all != nil {
		return r.all, nil
	}
	var list []rbac.Role
	for after := ""; ; {
		var p page[admin.Role]
		if err := r.ask(ctx, http.MethodGet, "/roles?limit=200&after="+url.QueryEscape(after), nil, &p); err != nil {
			return nil, err
		}
		for _, one := range p.Items {
			list = append(list, rbac.Role{Name: one.Name, Permissions: one.Permissions, Inherits: one.Inherits, Builtin: one.Builtin})
		}
		if p.Next == nil || *p.Next <= after {
			break
		}
		after = *p.Next
	}
	var err error
	if r.all, err = rbac.NewSnapshot(0, list); err != nil {
		return nil, fmt.Errorf("the roles of %s: %w", r.url, err)
	}
	return r.all, nil
}

// group asks for what a group has, or returns a NotFound.
func (r *remote) group(ctx context.Context, name string) ([]rbac.Grant, error) {
	var p page[admin.Grant]
	if err := r.ask(ctx, http.MethodGet, "/groups/"+url.PathEscape(name)+"/roles", nil, &p); err != nil {
		return nil, err
	}
	var has []rbac.Grant
	for _, g := range p.Items {
		if g.Live {
			has = append(has, rbac.Grant{Role: g.Role})
		}
	}
	return has, nil
}

// explain asks why cases are as they are, up to 200 at once.
func (r *remote) explain(ctx context.Context, cases []policy.Case) ([]admin.Explanation, error) {
	var question struct {
		Checks []admin.Check `json:"checks"`
	}
	for _, c := range cases {
		question.Checks = append(question.Checks, admin.Check{Subject: c.Kind + ":" + c.Name, Permission: c.Permission, Org: c.Organization})
	}
	var answer struct {
		Decisions []admin.Explanation `json:"decisions"`
	}
	if err := r.ask(ctx, http.MethodPost, "/access/explain", question, &answer); err != nil {
		return nil, err
	}
	if len(answer.Decisions) != len(cases) {
		return nil, fault.New(fault.Invalid, "%s answered %d of %d questions", r.url, len(answer.Decisions), len(cases))
	}
	return answer.Decisions, nil
}

// Kinds says what has a name.
func (r *remote) Kinds(ctx context.Context, name string) (found []string, err error) {
	roles, err := r.roles(ctx)
	if err != nil {
		return nil, err
	}
	any := rbac.Builtin()[0].Permissions[0] // whether he may is not asked
	answers, err := r.explain(ctx, []policy.Case{{Kind: "user", Name: name, Permission: any}, {Kind: "client", Name: name, Permission: any}})
	if err != nil {
		return nil, err
	}
	if answers[0].Reason != access.NoUser {
		found = append(found, "user")
	}
	if _, ok := roles.Role(name); ok {
		found = append(found, "role")
	}
	if _, err := r.group(ctx, name); err == nil {
		found = append(found, "group")
	} else if fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if answers[1].Reason != access.NoClient {
		found = append(found, "client")
	}
	return found, nil
}

// judge answers a case about a role or a group, or returns a NotFound.
func (r *remote) judge(ctx context.Context, c policy.Case) (policy.Answer, error) {
	roles, err := r.roles(ctx)
	if err != nil {
		return policy.Answer{}, err
	}
	if c.Kind == "group" {
		has, err := r.group(ctx, c.Name)
		return policy.OfGrants(roles, c, has, time.Time{}), err
	}
	if _, ok := roles.Role(c.Name); !ok {
		return policy.Answer{}, policy.Nobody(c)
	}
	return policy.OfRole(roles, c, time.Time{}), nil
}

// Judge answers cases.
func (r *remote) Judge(ctx context.Context, cases []policy.Case) ([]policy.Answer, []error, error) {
	answers, missing := make([]policy.Answer, len(cases)), make([]error, len(cases))
	var asked []policy.Case
	var of []int
	for i, c := range cases {
		if c.Kind != "role" && c.Kind != "group" {
			asked, of = append(asked, c), append(of, i)
			continue
		}
		var err error
		if answers[i], err = r.judge(ctx, c); fault.KindOf(err) == fault.NotFound {
			missing[i] = policy.Nobody(c)
		} else if err != nil {
			return nil, nil, err
		}
	}
	const most = 200
	for len(asked) > 0 {
		n := min(most, len(asked))
		found, err := r.explain(ctx, asked[:n])
		if err != nil {
			return nil, nil, err
		}
		for j, d := range found {
			if d.Reason == access.NoUser || d.Reason == access.NoClient {
				missing[of[j]] = policy.Nobody(asked[j])
			}
			answers[of[j]] = policy.Answer{Allowed: d.Allowed, Path: d.Path, Reason: d.Reason}
		}
		asked, of = asked[n:], of[n:]
	}
	return answers, missing, nil
}
