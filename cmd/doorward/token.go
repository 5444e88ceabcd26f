package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorward/doorward/guard"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/feed"
	"github.com/doorward/doorward/internal/grant"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/server"
)

func (p *program) token() *cobra.Command {
	return group("token", "Tokens", "Tokens.", p.tokenInspect())
}

// inspection is how a token is to be judged.
type inspection struct {
	issuer   string
	audience []string
	file     string
}

func (p *program) tokenInspect() *cobra.Command {
	var in inspection
	c := p.command("inspect", "Decode an access token and say whether it is good", `It is read from stdin, or from --file; never from an argument, which every user
of the machine can see. Its header and its claims are printed, not its signature.
The exit code is 0 if it is good, and 1 if it is refused.

It is verified with the keys in the database, and looked for among those that
were revoked; or with --issuer as an API would that knows the issuer's URL alone.
Without --audience such a token may be for anybody.`, `
echo "$TOKEN" | doorward token inspect
doorward token inspect --file token.txt --issuer https://auth.example.com --audience https://api.example.com`,
		nil, func(c *cobra.Command, _ []string) error {
			text, err := p.readToken(c, "--file", in.file)
			if err != nil {
				return err
			}
			return p.inspect(c.Context(), in, text)
		})
	// What was given in the wrong place is not read, and not repeated.
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usage(c, "a token is no argument, for others can see it; give it to stdin, or in a file with --file")
		}
		return nil
	}
	c.Flags().StringVar(&in.issuer, "issuer", "", "verify with the keys that this issuer publishes (`URL`)")
	c.Flags().StringArrayVar(&in.audience, "audience", nil, "for whom it must be (`NAME`); may be repeated")
	c.Flags().StringVar(&in.file, "file", "", "the `FILE` that holds it; stdin if not given")
	return c
}

// readToken reads a token from a file, which a flag names, or else from stdin.
func (p *program) readToken(c *cobra.Command, flag, file string) (string, error) {
	var text secret.Text
	f, isTerminal := p.terminal()
	switch {
	case strings.HasPrefix(file, "eyJ"): // which is how every JWT begins
		return "", usage(c, "%s takes the name of a file, not the token", flag)
	case file != "":
		opened, err := os.Open(file)
		if err != nil {
			return "", err
		}
		defer opened.Close()
		b, err := io.ReadAll(io.LimitReader(opened, mostSecret))
		if err != nil {
			return "", err
		}
		text = secret.From(string(b))
	case isTerminal:
		var err error
		if text, err = p.typed(c.Context(), f, "Token: "); err != nil {
			return "", err
		}
	default:
		var err error
		if text, err = p.secretLine("the token"); err != nil {
			return "", err
		}
	}
	token := strings.TrimSpace(text.Reveal())
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	switch {
	case token == "":
		return "", fault.New(fault.Invalid, "there is no token in it")
	case strings.HasPrefix(token, "dwr_"):
		return "", fault.New(fault.Invalid, "this is a refresh token, of which only its server knows the meaning; inspect the access token")
	}
	return token, nil
}

// verdict is what came of an inspection.
type verdict struct {
	Valid   bool            `json:"valid"`
	Reason  string          `json:"reason,omitempty"` // why not
	Checked []string        `json:"checked"`          // what it was held against
	Header  json.RawMessage `json:"header,omitempty"`
	Claims  json.RawMessage `json:"claims,omitempty"`

	claims claims
}

// claims are what a refusal is explained with. They are the token's word alone.
type claims struct {
	Issuer   any `json:"iss"`
	Audience any `json:"aud"`
	Expires  any `json:"exp"`
	Begins   any `json:"nbf"`
	Issued   any `json:"iat"`
	kid      string
}

// decoded takes a token apart as far as that goes, believing nothing.
func decoded(token string) *verdict {
	v := &verdict{Checked: []string{}}
	part := strings.Split(token, ".")
	object := func(text string) json.RawMessage {
		b, err := base64.RawURLEncoding.DecodeString(text)
		var members map[string]any
		if err != nil || json.Unmarshal(b, &members) != nil || members == nil {
			return nil
		}
		return b
	}
	if len(part) != 3 {
		return v
	}
	v.Header, v.Claims = object(part[0]), object(part[1])
	var header struct {
		Kid any `json:"kid"`
	}
	if v.Header != nil && json.Unmarshal(v.Header, &header) == nil {
		v.claims.kid, _ = header.Kid.(string)
	}
	if v.Claims != nil {
		d := json.NewDecoder(strings.NewReader(string(v.Claims)))
		d.UseNumber()
		_ = d.Decode(&v.claims) // it was decoded before
	}
	return v
}

func (p *program) inspect(ctx context.Context, in inspection, token string) error {
	v := decoded(token)
	var err error
	if in.issuer != "" {
		err = p.judgeRemote(ctx, in, token, v)
	} else {
		err = p.withKeys(ctx, func(k *server.Core) error { return judgeLocal(ctx, k, in, token, v) })
	}
	if err != nil {
		return err
	}
	if err := p.print(v, v.table()); err != nil || v.Valid {
		return err
	}
	return errShown
}

// judgeRemote verifies as an API does.
func (p *program) judgeRemote(ctx context.Context, in inspection, token string, v *verdict) error {
	audience := in.audience
	v.Checked = append(v.Checked, "the keys that "+in.issuer+" publishes")
	if len(audience) == 0 {
		if audience = names(v.claims.Audience); len(audience) == 0 {
			audience = []string{in.issuer}
		}
		v.Checked = append(v.Checked, "any audience")
	} else {
		v.Checked = append(v.Checked, "the audience "+strings.Join(audience, " or "))
	}
	g, err := guard.New(in.issuer, guard.Audience(audience...), guard.Leeway(server.Leeway), guard.Logger(quiet()))
	if err != nil {
		return err
	}
	_, err = g.Verify(ctx, token)
	if errors.Is(err, guard.ErrUnavailable) {
		return fmt.Errorf("the issuer's keys cannot be had, so the token was not judged: %w", err)
	}
	v.conclude(err, in.issuer, audience, nil, p.began)
	return nil
}

// judgeLocal verifies as the server itself does, with what it knows of
// revocations.
func judgeLocal(ctx context.Context, k *server.Core, in inspection, token string, v *verdict) error {
	if k.Config.Issuer == nil {
		return fault.New(fault.Invalid, "whose token is it to be? give the issuer in the configuration, or with --issuer")
	}
	k.Feed.Listen(func(_ context.Context, c feed.Change) error { k.Revoked.Apply(c); return nil })
	if err := k.Feed.Start(ctx); err != nil {
		return err
	}
	set, err := k.KeySet()
	if err != nil {
		return err
	}
	issuer, audience := k.Config.Issuer.String(), in.audience
	registered := func(string) bool { return false }
	if len(audience) == 0 {
		audience = slices.Compact([]string{issuer, k.Config.Tokens.Audience})
		registered = func(a string) bool { _, err := k.Resources.ByIdentifier(ctx, a); return err == nil }
	}
	g, err := guard.New(issuer, guard.AudienceFunc(registered), guard.Audience(audience...), guard.Leeway(server.Leeway), guard.Now(k.Clock.Now),
		guard.Keys(func() *guard.KeySet { return set }),
		guard.Revocation(func(_ context.Context, p *guard.Principal) error {
			if k.Revoked.Has(grant.Access{Family: p.Family, Account: p.Subject, Client: p.ClientID, Roles: p.Roles, Audience: p.Audience, Organization: p.Organization, Policy: p.PolicyVersion}) {
				return guard.ErrRevoked
			}
			return nil
		}))
	if err != nil {
		return err
	}
	v.Checked = append(v.Checked, "the keys in "+k.Config.Database.String(), "what was revoked", "the audience "+strings.Join(audience, " or "))
	_, err = g.Verify(ctx, token)
	var states []string
	keys, state := k.Keys.Keys()
	for i := range keys {
		states = append(states, keys[i].ID+" ("+string(state[i])+")")
	}
	v.conclude(err, issuer, audience, states, k.Clock.Now())
	return nil
}

// conclude says what the guard found, with the facts that led to it.
func (v *verdict) conclude(err error, issuer string, audience, keys []string, now time.Time) {
	if err == nil {
		v.Valid = true
		return
	}
	v.Reason = err.Error()
	add := func(format string, args ...any) { v.Reason += ": " + fmt.Sprintf(format, args...) }
	switch {
	case errors.Is(err, guard.ErrExpired):
		if at, ok := date(v.claims.Expires); ok {
			add("it ended at %s, %s ago", moment(at, ""), now.Sub(at).Round(time.Second))
		}
	case errors.Is(err, guard.ErrNotYetValid):
		for _, claim := range []any{v.claims.Begins, v.claims.Issued} {
			if at, ok := date(claim); ok && at.After(now) {
				add("it begins at %s, in %s", moment(at, ""), at.Sub(now).Round(time.Second))
				break
			}
		}
	case errors.Is(err, guard.ErrIssuer):
		add("it is of %v, and %s was expected", v.claims.Issuer, issuer)
	case errors.Is(err, guard.ErrAudience):
		add("it is for %s, and %s was expected", strings.Join(names(v.claims.Audience), ", "), strings.Join(audience, " or "))
	case errors.Is(err, guard.ErrUnknownKey):
		add("%s is not published", v.claims.kid)
		if len(keys) > 0 {
			v.Reason += "; there are " + strings.Join(keys, ", ")
		}
	}
}

func names(claim any) (list []string) {
	switch c := claim.(type) {
	case string:
		list = append(list, c)
	case []any:
		for _, name := range c {
			if s, ok := name.(string); ok {
				list = append(list, s)
			}
		}
	}
	return list
}

func date(claim any) (time.Time, bool) {
	n, ok := claim.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	seconds, err := n.Float64()
	return time.Unix(int64(seconds), 0), err == nil && seconds > 0 && seconds < 1<<40
}

// table shows an inspection: the verdict, then the header, then the claims in
// the token's order.
func (v *verdict) table() table {
	var t table
	if v.Valid {
		t.row("valid", "yes")
	} else {
		t.row("valid", "no")
		t.row("reason", v.Reason)
	}
	t.row("checked", strings.Join(v.Checked, "; "))
	members(v.Header, func(name, value string) { t.row("header "+name, value) })
	members(v.Claims, func(name, value string) {
		switch name {
		case "exp", "iat", "nbf", "auth_time":
			if at, ok := date(json.Number(value)); ok {
				value += " (" + moment(at, "") + ")"
			}
		}
		t.row(name, value)
	})
	return t
}

// members yields the members of an object in their order; strings as they are,
// anything else as JSON.
func members(object json.RawMessage, yield func(name, value string)) {
	d := json.NewDecoder(strings.NewReader(string(object)))
	if _, err := d.Token(); err != nil {
		return
	}
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			return
		}
		text := string(value)
		if s := ""; json.Unmarshal(value, &s) == nil && value[0] == '"' {
			text = s
		}
		yield(fmt.Sprint(name), text)
	}
}
