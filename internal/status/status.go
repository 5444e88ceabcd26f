// Package status is the words of token status lists (draft-ietf-oauth-status-list): one
// bit for each access token, which says whether it was revoked, in lists that anybody
// may read and nobody can learn anything else from.
//
// How lists are kept, and what revokes a token, is not here. The one invariant: no two
// tokens that can be revoked apart from one another have the same bit.
package status

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// Size is how many bits a list has.
	Size = 1 << 20
	// PageSize is how many of them one row keeps.
	PageSize = 1 << 13

	// Type is the media type of a list (Section 9.2), and typ that of its JWS.
	Type = "application/statuslist+jwt"
	typ  = "statuslist+jwt"
	// Open is for how long a list is given bits from.
	Open = 24 * time.Hour
)

// Slot is the place of a bit. Its zero value is none.
type Slot struct {
	List  string // its id
	Index int64
}

// String returns the slot as the change feed names it.
func (s Slot) String() string { return s.List + " " + strconv.FormatInt(s.Index, 10) }

// ParseSlot reads what String wrote. It returns zero for anything else.
func ParseSlot(text string) Slot {
	list, index, _ := strings.Cut(text, " ")
	n, err := strconv.ParseInt(index, 10, 64)
	if err != nil || list == "" || n < 0 || n >= Size {
		return Slot{}
	}
	return Slot{list, n}
}

// Block are bits of a list that one server may give to tokens: the First, and those
// that follow it in the order of the list's key.
type Block struct {
	List     string
	Key      []byte
	First, N int64
	Until    time.Time // no token with one of these bits may live longer
}

// Indexes returns the places of a block's bits. They are all over the list: nobody sees
// from one how many were given before it.
func (b Block) Indexes() []int64 {
	list := make([]int64, b.N)
	for i := range list {
		list[i] = permute(b.Key, b.First+int64(i))
	}
	return list
}

const half = 10 // bits; two halves are an index

// permute is a permutation of the indexes of a list, of which only who has the key knows
// more than that: four rounds of a Feistel network (Luby and Rackoff, 1988).
func permute(key []byte, n int64) int64 {
	left, right := n>>half, n&(1<<half-1)
	var room [64]byte
	input := append(append(room[:0], key...), 0, 0, 0)
	last := len(key)
	for round := range byte(4) {
		input[last] = round
		binary.BigEndian.PutUint16(input[last+1:], uint16(right))
		sum := sha256.Sum256(input)
		left, right = right, left^int64(binary.BigEndian.Uint16(sum[:])&(1<<half-1))
	}
	return left<<half | right
}

// Page returns which page of a list keeps an index.
func Page(index int64) int64 { return index / PageSize }

// Set returns a page with the bits of some indexes set. The bits of a byte are counted
// from the lowest (Section 4.1).
func Set(page []byte, indexes ...int64) []byte {
	page = append(slices.Clone(page), make([]byte, PageSize/8-len(page))...)
	for _, i := range indexes {
		page[i%PageSize/8] |= 1 << (i % 8)
	}
	return page
}

// Claims returns the payload of a list as it is signed (Section 5.1): uri is where it is,
// for is how long a reader may keep it. What pages lacks are zeros.
func Claims(issuer, uri string, pages map[int64][]byte, now time.Time, keep time.Duration) ([]byte, error) {
	var packed bytes.Buffer
	z, err := zlib.NewWriterLevel(&packed, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	blank := make([]byte, PageSize/8)
	for n := range int64(Size / PageSize) {
		page := pages[n]
		if page == nil {
			page = blank
		}
		if _, err := z.Write(page); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	var c struct {
		Issuer   string `json:"iss"`
		Subject  string `json:"sub"`
		IssuedAt int64  `json:"iat"`
		Expires  int64  `json:"exp"`
		TTL      int64  `json:"ttl"`
		List     struct {
			Bits int    `json:"bits"`
			List string `json:"lst"`
		} `json:"status_list"`
	}
	c.Issuer, c.Subject, c.IssuedAt, c.TTL = issuer, uri, now.Unix(), int64(keep/time.Second)
	// Who cannot reach us may judge by what he has for a while, and then no more.
	c.Expires = now.Add(max(4*keep, 5*time.Minute)).Unix()
	c.List.Bits, c.List.List = 1, base64.RawURLEncoding.EncodeToString(packed.Bytes())
	return json.Marshal(c)
}

// JWSType returns the typ of a list's JWS (Section 5.1).
func JWSType() string { return typ }
