package admin

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/doorward/doorward/internal/audit"
	"github.com/doorward/doorward/internal/fault"
	"github.com/doorward/doorward/internal/id"
)

// LogTree is the tree of the audit log, as this package reads it.
type LogTree interface {
	audit.Tiles
	// AuditCheckpoint returns the newest signed checkpoint, or a fault of kind
	// NotFound where there is none yet.
	AuditCheckpoint(context.Context) ([]byte, error)
	// LeafOf returns the place of an event in the tree, or a fault of kind NotFound.
	LeafOf(ctx context.Context, event string) (int64, error)
}

type checkpointOut struct {
	ContentType  string `header:"Content-Type"`
	CacheControl string `header:"Cache-Control"`
	Body         []byte
}

type proofIn struct {
	Leaf  int64  `query:"leaf" minimum:"-1" default:"-1" doc:"The number of the event whose inclusion is to be proved"`
	Event string `query:"event" maxLength:"26" doc:"Or its id"`
	Size  int64  `query:"size" minimum:"0" doc:"In the tree of so many leaves; that of the newest checkpoint if not given"`
	From  int64  `query:"from" minimum:"0" doc:"For a proof of consistency instead: the size of the earlier tree"`
	To    int64  `query:"to" minimum:"0" doc:"And of the later; that of the newest checkpoint if not given"`
}

// TreeView is a tree of the log.
type TreeView struct {
	Size int64  `json:"size" doc:"How many leaves it has"`
	Root string `json:"root" doc:"Its hash, in base64"`
}

type proofOut struct {
	Body struct {
		Origin   string    `json:"origin"`
		Leaf     *int64    `json:"leaf,omitempty" doc:"The number of the event"`
		LeafHash string    `json:"leaf_hash,omitempty" doc:"The hash of its bytes, in base64"`
		From     *TreeView `json:"from,omitempty" doc:"The earlier tree"`
		Tree     TreeView  `json:"tree" doc:"The tree that the proof leads to"`
		Proof    []string  `json:"proof" doc:"Hashes in base64, as RFC 9162, Sections 2.1.3 and 2.1.4, order them"`
	}
}

func (a *API) auditProofs() {
	note := operation("get-audit-checkpoint", http.MethodGet, "/audit/checkpoint", "audit", "Get the newest signed checkpoint of the audit log", one, func(op *huma.Operation) {
		op.Responses = map[string]*huma.Response{"200": {Description: "A signed note (C2SP tlog-checkpoint)", Content: map[string]*huma.MediaType{
			"text/plain; charset=utf-8": {Schema: &huma.Schema{Type: huma.TypeString}},
		}}}
	})
	handle(a, note, a.auditCheckpoint)
	handle(a, operation("get-audit-proof", http.MethodGet, "/audit/proof", "audit", "Prove that an event is in the log, or that the log has only grown", one), a.auditProof)
}

func (a *API) auditCheckpoint(ctx context.Context, _ *struct{}) (*checkpointOut, error) {
	note, err := a.Tree.AuditCheckpoint(ctx)
	return &checkpointOut{ContentType: "text/plain; charset=utf-8", CacheControl: "no-store", Body: note}, err
}

func (a *API) auditProof(ctx context.Context, in *proofIn) (*proofOut, error) {
	inclusion, consistency := in.Leaf >= 0 || in.Event != "", in.From > 0 || in.To > 0
	switch {
	case inclusion == consistency, in.Leaf >= 0 && in.Event != "", consistency && in.Size > 0:
		return nil, fault.At("query.leaf", "ask for a leaf or an event, with a size if you like, or for what lies between two sizes, from and to")
	case in.Event != "" && !id.Valid(in.Event):
		return nil, fault.At("query.event", "it is the id of an event")
	}
	note, err := a.Tree.AuditCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	newest, err := audit.ReadCheckpoint(note)
	if err != nil {
		return nil, err
	}
	out := &proofOut{}
	out.Body.Origin = newest.Origin
	prove := a.inclusion
	if consistency {
		prove = a.consistency
	}
	return out, inQuery(prove(ctx, in, newest, out))
}

func (a *API) inclusion(ctx context.Context, in *proofIn, newest audit.Checkpoint, out *proofOut) (err error) {
	leaf, size := in.Leaf, in.Size
	if in.Event != "" {
		if leaf, err = a.Tree.LeafOf(ctx, in.Event); err != nil {
			return err
		}
	}
	if size == 0 {
		size = newest.Size
	}
	if size > newest.Size {
		return fault.At("size", "the tree has %d leaves", newest.Size)
	}
	hash, root, proof, err := audit.NewProver(a.Tree).Inclusion(ctx, leaf, size)
	out.Body.Leaf, out.Body.LeafHash, out.Body.Tree, out.Body.Proof = &leaf, hash.String(), TreeView{size, root.String()}, texts(proof)
	return err
}

func (a *API) consistency(ctx context.Context, in *proofIn, newest audit.Checkpoint, out *proofOut) error {
	to := in.To
	if to == 0 {
		to = newest.Size
	}
	if to > newest.Size {
		return fault.At("to", "the tree has %d leaves", newest.Size)
	}
	old, root, proof, err := audit.NewProver(a.Tree).Consistency(ctx, in.From, to)
	out.Body.From, out.Body.Tree, out.Body.Proof = &TreeView{in.From, old.String()}, TreeView{to, root.String()}, texts(proof)
	return err
}

func texts(hashes []audit.Hash) []string {
	list := make([]string, len(hashes))
	for i, h := range hashes {
		list[i] = h.String()
	}
	return list
}
