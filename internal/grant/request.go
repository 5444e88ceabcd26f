package grant

import (
	"time"

	"github.com/doorward/doorward/internal/oauth"
	"github.com/doorward/doorward/internal/secret"
)

// RequestLasts is how long a person may take over an authorization request.
const RequestLasts = 30 * time.Minute

// Request is an authorization request that waits for a person. It belongs to the
// browser that began it: nobody else can go on with it.
type Request struct {
	ID      secret.Hash // of what its address says
	Browser secret.Hash // of what the browser's cookie holds
	Query   string      // as it came; it is read anew whenever it goes on
	Pushed  secret.Hash // of the request_uri that it came by (RFC 9126); zero for none
	Begun   time.Time
	Expires time.Time
	// What the person decided, and the session in which he did. In another session
	// nothing was decided.
	Decision Decision
	Session  string
}

// Decision is what a person said to an authorization request.
type Decision string

// The decisions.
const (
	Undecided Decision = ""
	Chosen    Decision = "chosen" // as this account; nothing else yet
	Allowed   Decision = "allow"
	Denied    Decision = "deny"
)

// Step is what an authorization request needs next.
type Step string

// The steps.
const (
	SignIn  Step = "sign in"
	Choose  Step = "choose an account"
	Consent Step = "consent"
	Answer  Step = "answer"
	Refuse  Step = "refuse"
)

// Seen is the browser's session, as far as it decides on a request. Its zero value is
// nobody.
type Seen struct {
	Session  string
	User     string
	AuthTime time.Time
}

// Wanted is what a request asks of a person.
type Wanted struct {
	Login   bool           // a new sign-in (prompt=login)
	Choice  bool           // of the account (prompt=select_account)
	Consent bool           // the question, whatever was answered before (prompt=consent)
	MaxAge  *time.Duration // since the sign-in; nil for any
	User    string         // whose session it must be; empty for anybody's
	Agreed  bool           // to all of this, before or by the operator
}

// Next says what a request still needs. It is the only place that knows the order of
// the steps: a page does its one step, records it, and comes back here. r is the zero
// Request where none was saved yet: then nobody has done anything for it.
func (r Request) Next(w Wanted, seen Seen, now time.Time) Step {
	since := !r.Begun.IsZero() && !seen.AuthTime.Before(r.Begun) // the person signed in for this request
	decided := r.Decision
	if r.Session != seen.Session {
		decided = Undecided
	}
	switch {
	case seen.User == "", w.User != "" && w.User != seen.User:
		return SignIn
	case w.Login && !since:
		return SignIn
	case w.MaxAge != nil && !since && now.Sub(seen.AuthTime) > *w.MaxAge:
		return SignIn
	case w.Choice && !since && decided == Undecided:
		return Choose
	case decided == Denied:
		return Refuse
	case decided == Allowed:
		return Answer
	case w.Consent || !w.Agreed:
		return Consent
	}
	return Answer
}

// WantedBy returns what a request asks of a person, but for whose session it must be and
// what was agreed to.
func WantedBy(r *oauth.AuthorizationRequest) Wanted {
	return Wanted{
		Login: r.Asks(oauth.PromptLogin), Choice: r.Asks(oauth.PromptSelectAccount), Consent: r.Asks(oauth.PromptConsent), MaxAge: r.MaxAge,
	}
}
