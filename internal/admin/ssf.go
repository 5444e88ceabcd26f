package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/ssf"
	"github.com/doorward/doorward/internal/web"
)

// Stream is a stream of a client as the API shows it. What is sent along to its endpoint
// nobody is shown.
type Stream struct {
	ID          string   `json:"id"`
	Client      string   `json:"client_id" doc:"Whose it is"`
	Status      string   `json:"status" enum:"enabled,paused,disabled"`
	Reason      string   `json:"reason,omitempty" doc:"Why it is so"`
	Stopped     bool     `json:"stopped" doc:"An administrator made it so: its receiver does not start it again"`
	Method      string   `json:"method" doc:"urn:ietf:rfc:8935 where events are pushed, urn:ietf:rfc:8936 where they are polled"`
	Endpoint    string   `json:"endpoint_url,omitempty" doc:"Where they are pushed to"`
	Events      []string `json:"events" doc:"What it tells, by the names of CAEP 1.0"`
	Subjects    string   `json:"subjects" enum:"ALL,NONE" doc:"Of whom it tells by default: everybody who signed in to the client, or nobody whom its receiver has not put on it"`
	Description string   `json:"description,omitempty" doc:"What the receiver says of it"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
}

// ShowStream returns a stream as the API shows it.
func ShowStream(s ssf.Stream) Stream {
	v := Stream{
		ID: s.ID, Client: s.Client, Status: string(s.Status), Reason: s.Reason, Stopped: s.Stopped, Method: string(s.Method), Endpoint: s.Endpoint,
		Events: some(s.Delivered()), Subjects: "NONE", Description: s.Description, CreatedAt: stamp(s.CreatedAt), UpdatedAt: stamp(s.UpdatedAt),
	}
	if s.All {
		v.Subjects = "ALL"
	}
	return v
}

type streamOut struct {
	ETag string `header:"ETag"`
	Body Stream
}

func showStream(s ssf.Stream) *streamOut { return &streamOut{web.ETag(s.Version), ShowStream(s)} }

type listStreams struct {
	Client string `query:"client_id" maxLength:"64" doc:"Those of a client"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
	After  string `query:"after" maxLength:"128" doc:"next of the page before"`
}

type streamPage struct {
	Body struct {
		Items []Stream `json:"items"`
		Next  *string  `json:"next" doc:"What to send as after for the next page; null at the end"`
	}
}

type changeStream struct {
	ByID
	IfMatch string `header:"If-Match"`
	RawBody []byte
	Body    struct {
		Status *string `json:"status,omitempty" enum:"enabled,paused,disabled" doc:"While it is paused events wait, at most a thousand and for a week; while it is disabled there are none"`
		Reason *string `json:"reason,omitempty" nullable:"true" doc:"The receiver is told it"`
	}
}

func (a *API) streams() {
	handle(a, operation("list-streams", http.MethodGet, "/streams", "clients", "List the streams by which clients hear what happens to people"), a.listStreams)
	handle(a, operation("get-stream", http.MethodGet, "/streams/{id}", "clients", "Get a stream", one), a.getStream)
	handle(a, operation("update-stream", http.MethodPatch, "/streams/{id}", "clients", "Pause, disable or enable a stream", one, versioned), a.updateStream)
	handle(a, operation("delete-stream", http.MethodDelete, "/streams/{id}", "clients", "Delete a stream, with all that waits on it", one, versioned, empty), a.deleteStream)
}

func (a *API) listStreams(ctx context.Context, in *listStreams) (*streamPage, error) {
	list := "streams " + in.Client
	after, err := a.after(ctx, in.After, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Transmitter.Streams(ctx, in.Client, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	page := &streamPage{}
	page.Body.Items = []Stream{}
	if len(found) > in.Limit {
		found = found[:in.Limit]
		next, err := a.cursor(ctx, found[in.Limit-1].ID, list)
		if err != nil {
			return nil, err
		}
		page.Body.Next = &next
	}
	for _, s := range found {
		page.Body.Items = append(page.Body.Items, ShowStream(s))
	}
	return page, nil
}

func (a *API) getStream(ctx context.Context, in *ByID) (*streamOut, error) {
	s, err := a.Transmitter.Stream(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return showStream(s), nil
}

func (a *API) updateStream(ctx context.Context, in *changeStream) (*streamOut, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	for tries := 0; ; tries++ {
		s, err := a.Transmitter.Stream(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		c := ssf.StatusChange{Status: s.Status, Reason: s.Reason}
		text, err := json.Marshal(struct {
			Status ssf.Status `json:"status"`
			Reason string     `json:"reason"`
		}{c.Status, c.Reason})
		if err != nil {
			return nil, err
		}
		if text, err = mergePatch(text, in.RawBody); err != nil {
			return nil, err
		}
		c = ssf.StatusChange{}
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, err
		}
		if version != 0 {
			s.Version = version
		}
		s, err = a.Transmitter.StopStream(ctx, web.By(ctx), s, c)
		if fault.KindOf(err) == fault.Stale && version == 0 && tries < 3 {
			continue
		}
		if err != nil {
			return nil, err
		}
		return showStream(s), nil
	}
}

func (a *API) deleteStream(ctx context.Context, in *removeOne) (*struct{}, error) {
	version, err := web.IfMatch(in.IfMatch)
	if err != nil {
		return nil, err
	}
	s, err := a.Transmitter.Stream(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	s.Version = version
	return nil, a.Transmitter.RemoveStream(ctx, web.By(ctx), s)
}
