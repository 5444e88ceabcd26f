package factor

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// Argon2id is written out here, and held to the results of
// golang.org/x/crypto/argon2 by a test, because that package computes every
// lane in a goroutine of its own and in memory of its own. The work would leave
// the worker's thread, and with it the low priority; a hash with p=16 would
// take sixteen cores; and each sign-in would leave 19 MiB to the garbage
// collector.

// block is the unit of Argon2's memory: 128 little-endian words of 64 bits.
type block [1024]byte

// An arena is the memory that one worker computes in, used again from hash to
// hash.
type arena struct {
	blocks []block
	keep   int // how many blocks are kept for the next hash
}

// take returns n blocks, of any content.
func (a *arena) take(n int) []block {
	if n > a.keep {
		return make([]block, n) // an imported hash: not to be held for ever
	}
	if a.blocks == nil {
		a.blocks = make([]block, a.keep)
	}
	return a.blocks[:n]
}

// syncPoints is how many slices a pass has: between two of them, the lanes do
// not read from one another (RFC 9106, Section 3.4).
const syncPoints = 4

// blocks returns how many blocks of memory the scheme takes: m rounded down to
// a multiple of 4p (RFC 9106, Section 3.2), and none for bcrypt.
func (s scheme) blocks() int {
	if s.algorithm != Argon2id {
		return 0
	}
	return s.memory / (syncPoints * s.lanes) * (syncPoints * s.lanes)
}

// argon2id returns the tag of a password: version 19, with neither a secret nor
// associated data (RFC 9106, Section 3.2).
func (a *arena) argon2id(s scheme, password string, salt []byte) []byte {
	b := a.take(s.blocks())
	f := filling{blocks: b, scheme: s, lane: len(b) / s.lanes, segment: len(b) / s.lanes / syncPoints}
	h0 := seed(s, password, salt)
	for lane := range s.lanes {
		for i := range 2 {
			longHash(b[lane*f.lane+i][:], h0, word(i), word(lane))
		}
	}
	for pass := range s.passes {
		for slice := range syncPoints {
			for lane := range s.lanes {
				f.fill(pass, slice, lane)
			}
		}
	}
	last := b[f.lane-1]
	for lane := 1; lane < s.lanes; lane++ {
		subtle.XORBytes(last[:], last[:], b[(lane+1)*f.lane-1][:])
	}
	tag := make([]byte, s.tag)
	longHash(tag, last[:])
	return tag
}

// seed returns H0 (RFC 9106, Section 3.2, step 1).
func seed(s scheme, password string, salt []byte) []byte {
	var in []byte
	for _, n := range []int{s.lanes, s.tag, s.memory, s.passes, 0x13, 2} {
		in = append(in, word(n)...)
	}
	in = append(append(in, word(len(password))...), password...)
	in = append(append(in, word(len(salt))...), salt...)
	in = append(append(in, word(0)...), word(0)...)
	h0 := blake2b.Sum512(in)
	return h0[:]
}

// filling is the memory while it is being filled, lane after lane.
type filling struct {
	scheme
	blocks        []block
	lane, segment int // their lengths in blocks
}

// fill computes one segment: the part of a lane that lies in a slice. Argon2id
// reads where the addresses say in the first half of the first pass, and where
// the data say from then on (RFC 9106, Section 3.4).
func (f *filling) fill(pass, slice, lane int) {
	var zero, input, addresses block
	own := f.blocks[lane*f.lane : (lane+1)*f.lane]
	addressed := pass == 0 && slice < syncPoints/2
	for i, n := range []int{pass, lane, slice, len(f.blocks), f.passes, 2} {
		binary.LittleEndian.PutUint64(input[8*i:], uint64(n))
	}
	for i := range f.segment {
		if addressed && i%128 == 0 {
			binary.LittleEndian.PutUint64(input[48:], uint64(i/128+1))
			compress(&addresses, &zero, &input, false)
			compress(&addresses, &zero, &addresses, false)
		}
		if pass == 0 && slice == 0 && i < 2 {
			continue // the seed made these
		}
		at := slice*f.segment + i
		previous := &own[(at+f.lane-1)%f.lane]
		j := binary.LittleEndian.Uint64(previous[:8])
		if addressed {
			j = binary.LittleEndian.Uint64(addresses[8*(i%128):])
		}
		compress(&own[at], previous, f.reference(j, pass, slice, lane, i), pass > 0)
	}
}

// reference returns the block that the i-th of a segment is mixed with, as the
// pseudo-random j tells (RFC 9106, Section 3.4.2).
func (f *filling) reference(j uint64, pass, slice, lane, i int) *block {
	from := int(j >> 32 % uint64(f.lanes))
	if pass == 0 && slice == 0 {
		from = lane
	}
	// What may be read: the segments that are finished, and of the own lane
	// also the present one up to the block before the previous.
	first, size := 0, slice*f.segment
	if pass > 0 {
		first, size = (slice+1)*f.segment, f.lane-f.segment
	}
	if from == lane {
		size += i - 1
	} else if i == 0 {
		size--
	}
	x := j & (1<<32 - 1)
	x = x * x >> 32
	x = uint64(size) * x >> 32
	return &f.blocks[from*f.lane+(first+size-1-int(x))%f.lane]
}

// compress is the compression function G: it writes G(x, y) to out, or adds it
// to what is there (RFC 9106, Section 3.5). out may be x or y.
func compress(out, x, y *block, add bool) {
	var z block
	subtle.XORBytes(z[:], x[:], y[:])
	if add {
		subtle.XORBytes(out[:], out[:], z[:])
	} else {
		*out = z
	}
	// "R is viewed as an 8x8 matrix of 16-byte registers": first the rows, then
	// the columns.
	for i := 0; i < 1024; i += 128 {
		permute((*register)(z[i:]), (*register)(z[i+16:]), (*register)(z[i+32:]), (*register)(z[i+48:]),
			(*register)(z[i+64:]), (*register)(z[i+80:]), (*register)(z[i+96:]), (*register)(z[i+112:]))
	}
	for i := 0; i < 128; i += 16 {
		permute((*register)(z[i:]), (*register)(z[i+128:]), (*register)(z[i+256:]), (*register)(z[i+384:]),
			(*register)(z[i+512:]), (*register)(z[i+640:]), (*register)(z[i+768:]), (*register)(z[i+896:]))
	}
	subtle.XORBytes(out[:], out[:], z[:])
}

// register is two words of a block.
type register [16]byte

func (r *register) words() (uint64, uint64) {
	return binary.LittleEndian.Uint64(r[:8]), binary.LittleEndian.Uint64(r[8:])
}

func (r *register) set(v, w uint64) {
	binary.LittleEndian.PutUint64(r[:8], v)
	binary.LittleEndian.PutUint64(r[8:], w)
}

// permute is the permutation P (RFC 9106, Section 3.6). The registers are those of
// the one who calls it and of nobody else: to watch them for races would make a hash
// in a test take ten times as long.
//
//go:norace
func permute(r0, r1, r2, r3, r4, r5, r6, r7 *register) {
	v0, v1 := r0.words()
	v2, v3 := r1.words()
	v4, v5 := r2.words()
	v6, v7 := r3.words()
	v8, v9 := r4.words()
	v10, v11 := r5.words()
	v12, v13 := r6.words()
	v14, v15 := r7.words()

	v0, v4, v8, v12 = half(v0, v4, v8, v12, 32, 24)
	v0, v4, v8, v12 = half(v0, v4, v8, v12, 16, 63)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, 32, 24)
	v1, v5, v9, v13 = half(v1, v5, v9, v13, 16, 63)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, 32, 24)
	v2, v6, v10, v14 = half(v2, v6, v10, v14, 16, 63)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, 32, 24)
	v3, v7, v11, v15 = half(v3, v7, v11, v15, 16, 63)

	v0, v5, v10, v15 = half(v0, v5, v10, v15, 32, 24)
	v0, v5, v10, v15 = half(v0, v5, v10, v15, 16, 63)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, 32, 24)
	v1, v6, v11, v12 = half(v1, v6, v11, v12, 16, 63)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, 32, 24)
	v2, v7, v8, v13 = half(v2, v7, v8, v13, 16, 63)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, 32, 24)
	v3, v4, v9, v14 = half(v3, v4, v9, v14, 16, 63)

	r0.set(v0, v1)
	r1.set(v2, v3)
	r2.set(v4, v5)
	r3.set(v6, v7)
	r4.set(v8, v9)
	r5.set(v10, v11)
	r6.set(v12, v13)
	r7.set(v14, v15)
}

// half is one half of the function GB, with its two rotations to the right
// (RFC 9106, Section 3.6).
func half(a, b, c, d uint64, r1, r2 int) (uint64, uint64, uint64, uint64) {
	a += b + 2*uint64(uint32(a))*uint64(uint32(b))
	d = bits.RotateLeft64(d^a, -r1)
	c += d + 2*uint64(uint32(c))*uint64(uint32(d))
	b = bits.RotateLeft64(b^c, -r2)
	return a, b, c, d
}

// longHash is the function H' that hashes to any length (RFC 9106,
// Section 3.3).
func longHash(out []byte, parts ...[]byte) {
	v := blake(min(len(out), 64), append([][]byte{word(len(out))}, parts...)...)
	for len(out) > 64 {
		out = out[copy(out, v[:32]):]
		v = blake(min(len(out), 64), v)
	}
	copy(out, v)
}

// blake is BLAKE2b with an output of size bytes, 1 to 64.
func blake(size int, parts ...[]byte) []byte {
	h, _ := blake2b.New(size, nil) // it fails at other sizes only
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// word writes a number as Argon2 hashes it: 32 bits, little-endian.
func word(n int) []byte { return binary.LittleEndian.AppendUint32(nil, uint32(n)) }
