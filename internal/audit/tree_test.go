package audit

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

// naive is the hash of a list as RFC 9162, Section 2.1.1 writes it down.
func naive(leaves [][]byte) Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	default:
		k := 1
		for 2*k < n {
			k *= 2
		}
		l, r := naive(leaves[:k]), naive(leaves[k:])
		return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
	}
}

// kept are tiles in memory.
type kept map[string][]byte

func (k kept) put(t Tile) { k[fmt.Sprint(t.Level, t.N)] = append([]byte(nil), t.Hashes...) }
func (k kept) AuditTile(_ context.Context, level int, n int64) ([]byte, error) {
	return k[fmt.Sprint(level, n)], nil
}

func numbered(from, n int) (list [][]byte) {
	for i := range n {
		list = append(list, fmt.Append(nil, "leaf ", from+i))
	}
	return list
}

// The tree, whatever the pieces it grew in, is the tree of the standard; and so
// are its proofs.
func TestTreeIsTheStandards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tiles := kept{}
		tree := &Tree{}
		var leaves [][]byte
		for range rapid.IntRange(1, 5).Draw(t, "batches") {
			more := numbered(len(leaves), rapid.SampledFrom([]int{1, 2, 3, 7, 200, 255, 256, 257, 511, 700}).Draw(t, "more"))
			for _, leaf := range more {
				tree.Append(LeafHash(leaf), tiles.put)
			}
			leaves = append(leaves, more...)
			for _, e := range tree.Edge() {
				tiles.put(e)
			}
			var edge []Tile
			for _, e := range EdgeOf(tree.Size()) {
				data, _ := tiles.AuditTile(t.Context(), e.Level, e.N)
				edge = append(edge, Tile{e.Level, e.N, data})
			}
			var err error
			if tree, err = NewTree(tree.Size(), edge); err != nil { // as another process finds it
				t.Fatal(err)
			}
			if got, want := tree.Root(), naive(leaves); got != want {
				t.Fatalf("of %d leaves: %v, want %v", len(leaves), got, want)
			}
		}
		p := NewProver(tiles)
		n := rapid.IntRange(0, len(leaves)-1).Draw(t, "leaf")
		size := rapid.IntRange(n+1, len(leaves)).Draw(t, "size")
		hash, root, proof, err := p.Inclusion(t.Context(), int64(n), int64(size))
		if err != nil || root != naive(leaves[:size]) || hash != LeafHash(leaves[n]) {
			t.Fatalf("leaf %d of %d: %v", n, size, err)
		}
		c := Checkpoint{"x", int64(size), root}
		if err := CheckInclusion(proof, c, int64(n), hash); err != nil {
			t.Fatal(err)
		}
		if CheckInclusion(proof, c, int64(n), LeafHash([]byte("another"))) == nil {
			t.Fatal("another leaf has the same proof")
		}
		old, root, proof, err := p.Consistency(t.Context(), int64(n+1), int64(size))
		if err != nil || old != naive(leaves[:n+1]) || root != naive(leaves[:size]) {
			t.Fatalf("%d to %d: %v", n+1, size, err)
		}
		before := Checkpoint{"x", int64(n + 1), old}
		if err := CheckConsistency(proof, before, c); err != nil {
			t.Fatal(err)
		}
		before.Root[3] ^= 1
		if CheckConsistency(proof, before, c) == nil {
			t.Fatal("a tree with another past has the same proof")
		}
	})
}

func TestTreeAcrossLevels(t *testing.T) {
	tree, tiles := &Tree{}, kept{}
	const n = TileWidth*TileWidth + 300
	var want []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (list []Hash, err error) {
		for _, i := range indexes {
			list = append(list, want[i])
		}
		return list, nil
	})
	for i := range int64(n) {
		data := fmt.Append(nil, i)
		more, err := tlog.StoredHashes(i, data, reader)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, more...)
		tree.Append(LeafHash(data), tiles.put)
	}
	root, err := tlog.TreeHash(n, reader)
	if err != nil || tree.Root() != root || len(tiles[fmt.Sprint(1, 0)]) != TileWidth*tlog.HashSize || len(tree.Edge()) != 3 {
		t.Errorf("%v: the root is %v, want %v; %d tiles at the edge", err, tree.Root(), root, len(tree.Edge()))
	}
}

func TestNewTreeRefuses(t *testing.T) {
	good := EdgeOf(300)
	for name, edge := range map[string][]Tile{
		"none": nil, "one": good[:1], "another level": {good[0], {2, 0, good[1].Hashes}}, "another place": {{0, 2, good[0].Hashes}, good[1]},
		"too short": {{0, 1, good[0].Hashes[:43*32]}, good[1]}, "turned": {good[1], good[0]},
	} {
		if _, err := NewTree(300, edge); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	if _, err := NewTree(300, good); err != nil {
		t.Error(err)
	}
}
