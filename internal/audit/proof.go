package audit

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/doorward/doorward/internal/fault"
)

// Tiles is where tiles are kept.
type Tiles interface {
	// AuditTile returns the hashes of a tile: those that there are now, in a log
	// that grows. What is not there is a fault of kind NotFound.
	AuditTile(ctx context.Context, level int, n int64) ([]byte, error)
}

// Prover makes proofs from tiles.
type Prover struct{ tiles Tiles }

// NewProver returns a prover over tiles.
func NewProver(t Tiles) *Prover { return &Prover{t} }

// reader reads hashes of the tree by their number, each tile once.
func (p *Prover) reader(ctx context.Context) tlog.HashReader {
	read := map[tlog.Tile][]byte{}
	return tlog.HashReaderFunc(func(indexes []int64) ([]Hash, error) {
		hashes := make([]Hash, len(indexes))
		for i, index := range indexes {
			tile := tlog.TileForIndex(TileHeight, index)
			place := tlog.Tile{L: tile.L, N: tile.N}
			data, ok := read[place]
			if !ok {
				var err error
				if data, err = p.tiles.AuditTile(ctx, tile.L, tile.N); err != nil {
					return nil, err
				}
				read[place] = data
			}
			h, err := tlog.HashFromTile(tile, data, index)
			if err != nil {
				return nil, fmt.Errorf("tile %d/%d: %w", tile.L, tile.N, err)
			}
			hashes[i] = h
		}
		return hashes, nil
	})
}

// Root returns the hash of the tree when it had a size.
func (p *Prover) Root(ctx context.Context, size int64) (Hash, error) {
	return tlog.TreeHash(size, p.reader(ctx))
}

// Inclusion proves that a leaf is in the tree of a size
// (RFC 9162, Section 2.1.3). It returns the leaf's hash and the tree's too.
func (p *Prover) Inclusion(ctx context.Context, leaf, size int64) (hash, root Hash, proof []Hash, err error) {
	if leaf < 0 || leaf >= size {
		return hash, root, nil, fault.At("leaf", "it is not in a tree of %d leaves", size)
	}
	r := p.reader(ctx)
	if proof, err = tlog.ProveRecord(size, leaf, r); err != nil {
		return hash, root, nil, err
	}
	if root, err = tlog.TreeHash(size, r); err != nil {
		return hash, root, nil, err
	}
	one, err := r.ReadHashes([]int64{tlog.StoredHashIndex(0, leaf)})
	if err != nil {
		return hash, root, nil, err
	}
	return one[0], root, proof, tlog.CheckRecord(proof, size, root, leaf, one[0])
}

// Consistency proves that the tree of a size grew out of an earlier one
// (RFC 9162, Section 2.1.4). It returns the hashes of both.
func (p *Prover) Consistency(ctx context.Context, from, to int64) (old, root Hash, proof []Hash, err error) {
	if from < 1 || from > to {
		return old, root, nil, fault.At("from", "it is a size from 1 to %d", to)
	}
	r := p.reader(ctx)
	if proof, err = tlog.ProveTree(to, from, r); err != nil {
		return old, root, nil, err
	}
	if old, err = tlog.TreeHash(from, r); err != nil {
		return old, root, nil, err
	}
	if root, err = tlog.TreeHash(to, r); err != nil {
		return old, root, nil, err
	}
	return old, root, proof, tlog.CheckTree(proof, to, root, from, old)
}

// errProof is what a proof that does not hold is.
var errProof = errors.New("the proof does not hold")

// CheckInclusion verifies a proof of Inclusion.
func CheckInclusion(proof []Hash, c Checkpoint, leaf int64, hash Hash) error {
	if err := tlog.CheckRecord(proof, c.Size, c.Root, leaf, hash); err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	return nil
}

// CheckConsistency verifies a proof of Consistency.
func CheckConsistency(proof []Hash, old, c Checkpoint) error {
	if err := tlog.CheckTree(proof, c.Size, c.Root, old.Size, old.Root); err != nil {
		return fmt.Errorf("%w: %w", errProof, err)
	}
	return nil
}
