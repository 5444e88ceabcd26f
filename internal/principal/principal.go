// Package principal says who is asking, and from where.
//
// A Principal is a parameter of every verb that changes something: the rules
// read its rights from it, and the audit log its name.
package principal

// Kind is the class of a principal.
type Kind string

// The kinds of principals.
const (
	Anonymous Kind = "anonymous" // nobody has been proved yet
	User      Kind = "user"      // a person's account
	Service   Kind = "service"   // a client acting for itself
	Key       Kind = "key"       // an API key
	CLI       Kind = "cli"       // an operator at the machine; holds every permission
	System    Kind = "system"    // the server itself, on its own timers
)

// Kinds returns all of them.
func Kinds() []Kind { return []Kind{Anonymous, User, Service, Key, CLI, System} }

// Principal is whoever a request acts for. The zero value is nobody.
type Principal struct {
	Kind Kind
	// ID is the account's id for a user, the public id of an API key, the operator's
	// name for the command line, and empty for nobody.
	ID string
	// Owner is whose an API key is; zero for all others.
	Owner Owner
	// Scopes is what the credential carries. It bounds what the principal's
	// roles allow; a principal of kind CLI or System is not bounded.
	Scopes []string
	// Needs is the permission that let the request pass, if it needed one. It is
	// asked for again in the transaction that does what was asked.
	Needs string
	// Organization is the id of the organization that the credential is for. What it
	// carries holds there alone; on this server it allows nothing.
	Organization string
	// Client is the id of the OAuth client through which the principal acts.
	Client string
	// Family is the public handle of the token family that the access token
	// belongs to, if any.
	Family string
	// Slot is the access token's bit in a status list, as a list's id and an index; empty
	// for none.
	Slot string
	// Session is what the principal is signed in with, as it is listed: the browser's
	// session, or the token family.
	Session string
	// Exchanged says that the access token was traded for another credential: what it
	// came through acts for the principal.
	Exchanged bool
	// Origin is where the request came from.
	Origin Origin
}

// Origin is where a request came from. Address and UserAgent are personal data.
type Origin struct {
	RequestID string
	Address   string // the caller's IP address
	Network   string // what limits count by: the address, or the /64 of an IPv6 one
	UserAgent string // at most 256 bytes
	Device    string // what the browser's device cookie holds, unread; at most 512 bytes
	// Once names the request if the caller wants it to have one effect however
	// often it is sent; the zero Once names nothing.
	Once Once
}

// Once is a caller's name for one change, kept as digests.
type Once struct {
	Key     string // over the caller, the route and his Idempotency-Key
	Request string // over the body, to tell a retry from a reuse of the key
}

// Owner is an account or a client: what can have roles.
type Owner struct {
	Kind Kind // User or Service
	ID   string
}

// String returns the owner as the audit log names what something is done to, like
// "user:01h…" or "client:billing".
func (o Owner) String() string {
	if o.Kind == Service {
		return "client:" + o.ID
	}
	return string(o.Kind) + ":" + o.ID
}

// Holder returns whose roles count for what p may do: those of the owner of an API
// key, else p's own.
func (p *Principal) Holder() Owner {
	if p.Kind == Key {
		return p.Owner
	}
	return Owner{p.Kind, p.ID}
}

// Lent reports whether p came with what somebody signed in made for others to act with:
// an API key, or a token that was exchanged. Such a credential makes and changes no
// credentials, so that nothing outlives it.
func (p *Principal) Lent() bool { return p.Kind == Key || p.Exchanged }

// Trusted reports whether p is bounded by no role: an operator at the machine,
// or the server itself.
func (p *Principal) Trusted() bool { return p.Kind == CLI || p.Kind == System }

// Credential returns what p came with, as it is counted, like "family:01h…" or
// "key:3xK…"; empty for nothing.
func (p Principal) Credential() string {
	switch {
	case p.Kind == Key:
		return p.String()
	case p.Family != "":
		return "family:" + p.Family
	case p.Session != "":
		return "session:" + p.Session
	}
	return ""
}

// String returns the principal as the audit log names it, like "user:01h…".
func (p Principal) String() string {
	if p.Kind == "" {
		return string(Anonymous)
	}
	if p.ID == "" {
		return string(p.Kind)
	}
	return string(p.Kind) + ":" + p.ID
}
