// Package outbox delivers what people are to be told, and what applications are of
// them, after the commit that makes it so.
//
// Whoever changes something posts a letter in the same transaction: it is told
// if and only if it happened. A letter names an account and a kind, and holds
// facts; where it goes and how it reads is decided when it is delivered. How it
// is carried is not here (package mail; package issue to applications), nor how it
// is kept (package store). The invariant: no letter holds a secret, and none is lost
// while the database stands; it may come twice, a mail under one Message-ID.
package outbox

import (
	"context"
	"time"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/id"
	"github.com/doorward/doorward/internal/ssf"
)

// Kind is what a letter tells. Each that is for people has a file in the catalogue.
type Kind string

// The kinds of letters, with the facts that each tells.
const (
	AccountLocked   Kind = "account.locked"   // address, user_agent, until, count
	DeviceLocked    Kind = "device.locked"    // the same, of one that was known
	DeviceNew       Kind = "device.new"       // address, user_agent
	KeyLeaked       Kind = "key.leaked"       // key
	PasswordChanged Kind = "password.changed" // address, user_agent
)

// SessionOver is what clients are told: a Logout.
const SessionOver Kind = "session.over"

// Channel is how letters go. What is stuck on one holds up no other.
type Channel string

// The channels.
const (
	Mails     Channel = "mail"
	ToClients Channel = "clients"
)

// Channel returns how letters of the kind go.
func (k Kind) Channel() Channel {
	if k == SessionOver {
		return ToClients
	}
	return Mails
}

// Kinds lists every kind that is for people.
func Kinds() []Kind {
	return []Kind{AccountLocked, DeviceLocked, DeviceNew, KeyLeaked, PasswordChanged}
}

// Letter is something that a person, or an application of him, is to be told once the
// transaction that makes it so is committed.
type Letter struct {
	ID   string // of all its deliveries
	User string // the account's id
	Kind Kind
	// Data holds the facts, by name: "address" (an IP address), "user_agent" (as
	// the browser sent it), "until" (RFC 3339), "count" (decimal) and "key" (the
	// public id of an API key). A fact that is missing or cannot be read is left
	// out of the text. For applications it holds the members of a Logout.
	Data map[string]string
	At   time.Time // when it happened
}

// New returns a letter to a user about what happened at a time. Of data it takes
// the facts that there are, and nothing else: what is not told is not kept.
func New(user string, kind Kind, at time.Time, data map[string]string) Letter {
	l := Letter{ID: id.New(at), User: user, Kind: kind, At: at}
	for _, name := range []string{"address", "user_agent", "until", "count", "key"} {
		if value, ok := data[name]; ok {
			if l.Data == nil {
				l.Data = map[string]string{}
			}
			l.Data[name] = value
		}
	}
	return l
}

// Recipient is whom a letter goes to, as the account is when it is delivered.
type Recipient struct {
	Username string
	Address  string // empty: he has none
	// Proved says that the address is known to be his. To another one a letter
	// tells nothing that is personal or that somebody chose.
	Proved bool
}

// Claim is a letter that this process delivers, until its lease ends.
type Claim struct {
	Letter
	Try int64 // 1 for the first

	stream *ssf.Claim // that stands in the place of a letter; nil for none
}

// Store is what this package needs to have kept for it.
type Store interface {
	// ClaimLetters takes up to n letters that are due on a channel. Nobody else gets
	// them before lease has passed.
	ClaimLetters(ctx context.Context, by Channel, n int, lease time.Duration) ([]Claim, error)
	// Recipient returns a NotFound if there is no such account any more.
	Recipient(ctx context.Context, user string) (Recipient, error)
	// PostponeLetter gives a letter back until due, and records events of that. It does
	// nothing if somebody else has claimed it since.
	PostponeLetter(ctx context.Context, c Claim, due time.Time, events ...audit.Event) error
	// DeleteLetter deletes a letter that was delivered or given up, and records events
	// of that. It does nothing if there is none any more.
	DeleteLetter(ctx context.Context, id string, events ...audit.Event) error
	// DropLetters deletes letters to people that are due, a batch, and says how many.
	DropLetters(ctx context.Context) (int, error)
}

// Mail is a letter as it is sent.
type Mail struct {
	ID      string // of the letter: the same however often it is sent
	User    string // the account's id
	To      string // an address
	Subject string // one line
	Text    string // plain text; lines end with \n
	HTML    string
	At      time.Time
}

// Carrier takes mail to where it is read.
type Carrier interface {
	// Carry returns nil once the next one on the way has taken charge of the mail,
	// an error with ErrRefused in it if nobody ever will, and any other error if it
	// is to be tried again. An error holds nothing of the mail and no address.
	Carry(ctx context.Context, m Mail) error
}

// CarrierFunc lets a function be a Carrier.
type CarrierFunc func(ctx context.Context, m Mail) error

// Carry calls f.
func (f CarrierFunc) Carry(ctx context.Context, m Mail) error { return f(ctx, m) }
