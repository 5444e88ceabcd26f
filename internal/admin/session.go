package admin

import (
	"context"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/principal"
	"github.com/doorward/doorward/internal/session"
)

// Session is something that a person is signed in with.
type Session struct {
	ID        string   `json:"id"`
	Kind      string   `json:"kind" enum:"browser,tokens" doc:"browser: a session in cookies; tokens: an app or a script that holds refresh tokens"`
	User      string   `json:"user"`
	Client    string   `json:"client_id,omitempty"`
	Current   bool     `json:"current" doc:"Whether this request was made with it"`
	Address   string   `json:"address,omitempty" doc:"Where it began"`
	UserAgent string   `json:"user_agent,omitempty" doc:"What it began in"`
	AMR       []string `json:"amr" doc:"How the person was proved (RFC 8176)"`
	CreatedAt string   `json:"created_at"`
	UsedAt    string   `json:"used_at" doc:"When its tokens were last refreshed"`
	ExpiresAt string   `json:"expires_at"`
}

type listSessions struct {
	User  string `query:"user" doc:"The id of another user; this needs sessions:read" maxLength:"64"`
	Limit int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After string `query:"after" doc:"The cursor of the page before" maxLength:"256"`
}

type sessionsOut struct {
	Body struct {
		Items []Session `json:"items"`
		Next  *string   `json:"next" doc:"The cursor of the next page; null at the end"`
	}
}

type sessionID struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) sessions() {
	handle(a, operation("list-sessions", http.MethodGet, "/sessions", "sessions", "List what I am signed in with, or another user, the newest first", one), a.listSessions)
	handle(a, operation("end-session", http.MethodDelete, "/sessions/{id}", "sessions", "End a session: its tokens are refused from then on", empty, one), a.endSession)
}

func (a *API) listSessions(ctx context.Context, in *listSessions) (*sessionsOut, error) {
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	f := session.Filter{User: by.ID, Limit: in.Limit + 1}
	if in.User != "" && in.User != by.ID {
		if err := a.needs(ctx, by, "sessions:read"); err != nil {
			return nil, err
		}
		f.User = in.User
	}
	if f.After, err = a.after(ctx, in.After, "sessions", f.User); err != nil {
		return nil, err
	}
	list, err := a.Sessions.List(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &sessionsOut{}
	out.Body.Items = []Session{}
	for i, s := range list {
		if i == in.Limit {
			next, err := a.cursor(ctx, list[i-1].ID, "sessions", f.User)
			if err != nil {
				return nil, err
			}
			out.Body.Next = &next
			break
		}
		out.Body.Items = append(out.Body.Items, Session{
			ID: s.ID, Kind: string(s.Kind), User: s.User, Client: s.Client, Current: s.ID == by.Session, Address: s.Address, UserAgent: s.UserAgent,
			AMR: some(s.AMR), CreatedAt: stamp(s.CreatedAt), UsedAt: stamp(s.UsedAt), ExpiresAt: stamp(s.ExpiresAt),
		})
	}
	return out, nil
}

// endSession ends one's own session, or with sessions:write that of somebody
// upon whom one may act. Another's is absent for who may not.
func (a *API) endSession(ctx context.Context, in *sessionID) (*struct{}, error) {
	by, err := person(ctx)
	if err != nil {
		return nil, err
	}
	owner, err := a.Sessions.Owner(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if owner != by.ID {
		by.Needs = "sessions:write"
		err := a.needs(ctx, by, by.Needs)
		if fault.KindOf(err) == fault.Denied {
			err = fault.New(fault.NotFound, "there is no such session")
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, a.Sessions.End(ctx, by, owner, in.ID)
}

// needs returns a Denied fault unless the token and the roles of by hold a
// permission that the route itself does not ask for.
func (a *API) needs(ctx context.Context, by principal.Principal, permission string) error {
	allowed, err := a.Roles.Allows(ctx, &by, permission)
	if err == nil && !allowed {
		err = &lacks{permission, fault.New(fault.Denied, "this needs the permission %s", permission)}
	}
	return err
}
