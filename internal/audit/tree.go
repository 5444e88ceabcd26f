package audit

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is the hash of a leaf or a node of the tree: SHA-256
// (RFC 9162, Section 2.1.1).
type Hash = tlog.Hash

// The tree is kept in tiles of this height: a tile holds up to TileWidth hashes
// of one level in eight.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// LeafHash returns the hash of the leaf that holds data.
func LeafHash(data []byte) Hash {
	var kept [1024]byte // what most events fit in, so that nothing is allocated
	return sha256.Sum256(append(kept[:1], data...))
}

// Tile is a piece of the tree: the hashes from N·256 on of the nodes above 256
// to the power of Level leaves. A tile at the right edge has fewer than 256.
type Tile struct {
	Level  int
	N      int64
	Hashes []byte // 32 bytes each
}

// Width returns how many hashes the tile holds.
func (t Tile) Width() int { return len(t.Hashes) / tlog.HashSize }

func hashAt(hashes []byte, i int) (h Hash) {
	copy(h[:], hashes[i*tlog.HashSize:])
	return h
}

// subtree returns the root above hashes, whose number is a power of two.
func subtree(hashes []byte) Hash {
	if len(hashes) == tlog.HashSize {
		return hashAt(hashes, 0)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtree(hashes[:half]), subtree(hashes[half:]))
}

// Tree is a Merkle tree as whoever appends to it needs it: its size, and the
// unfinished tile of each level.
type Tree struct {
	size int64
	edge [][]byte // by level; each shorter than a whole tile
}

// EdgeOf returns which tiles a tree of a size has at its right edge, lowest
// first, each with room for what it holds.
func EdgeOf(size int64) []Tile {
	var edge []Tile
	for level := 0; size > 0; level++ {
		if width := size % TileWidth; width > 0 {
			edge = append(edge, Tile{Level: level, N: size / TileWidth, Hashes: make([]byte, width*tlog.HashSize)})
		}
		size /= TileWidth
	}
	return edge
}

var errEdge = errors.New("the tiles at the right edge are not those of a tree of this size")

// NewTree returns the tree of a size with the tiles of EdgeOf. A tile may hold
// more than a tree of this size has: the rest is left out.
func NewTree(size int64, edge []Tile) (*Tree, error) {
	t := &Tree{size: size}
	wanted := EdgeOf(size)
	if len(wanted) != len(edge) {
		return nil, fmt.Errorf("%w: there are %d, not %d", errEdge, len(edge), len(wanted))
	}
	for i, w := range wanted {
		e := edge[i]
		if e.Level != w.Level || e.N != w.N || len(e.Hashes) < len(w.Hashes) {
			return nil, fmt.Errorf("%w: tile %d/%d", errEdge, w.Level, w.N)
		}
		t.grow(w.Level)
		t.edge[w.Level] = append(t.edge[w.Level], e.Hashes[:len(w.Hashes)]...)
	}
	return t, nil
}

func (t *Tree) grow(level int) {
	for len(t.edge) <= level {
		t.edge = append(t.edge, make([]byte, 0, TileWidth*tlog.HashSize))
	}
}

// Size returns how many leaves there are.
func (t *Tree) Size() int64 { return t.size }

// Append adds a leaf, and passes each tile that it fills to full.
func (t *Tree) Append(leaf Hash, full func(Tile)) {
	h := leaf
	for level, n := 0, t.size/TileWidth; ; level, n = level+1, n/TileWidth {
		t.grow(level)
		t.edge[level] = append(t.edge[level], h[:]...)
		if len(t.edge[level]) < TileWidth*tlog.HashSize {
			break
		}
		hashes := t.edge[level]
		t.edge[level] = make([]byte, 0, TileWidth*tlog.HashSize)
		h = subtree(hashes)
		full(Tile{Level: level, N: n, Hashes: hashes})
	}
	t.size++
}

// Edge returns the unfinished tiles, lowest first. They are the tree's own.
func (t *Tree) Edge() []Tile {
	edge := EdgeOf(t.size)
	for i := range edge {
		edge[i].Hashes = t.edge[edge[i].Level]
	}
	return edge
}

// Root returns the hash of the whole tree (RFC 9162, Section 2.1.1): the
// complete subtrees at its right edge, put together from the smallest on.
func (t *Tree) Root() Hash {
	root, any := Hash(sha256.Sum256(nil)), false
	for _, hashes := range t.edge {
		end := len(hashes)
		for size := tlog.HashSize; size <= len(hashes); size *= 2 {
			if len(hashes)&size == 0 {
				continue
			}
			left := subtree(hashes[end-size : end])
			end -= size
			if any {
				root = tlog.NodeHash(left, root)
			} else {
				root, any = left, true
			}
		}
	}
	return root
}
