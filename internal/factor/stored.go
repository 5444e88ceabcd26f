package factor

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/fault"
)

// What a stored hash may cost. A hash over these bounds came from elsewhere, by
// an import or by tampering, and is not computed: it could hold a worker for
// minutes, or take all memory.
const (
	minCost, maxCost = 4, 16     // bcrypt: 16 is sixteen times our own
	maxMemory        = 256 << 10 // Argon2id: KiB
	maxPasses        = 16
	maxLanes         = 16
	maxWork          = 1 << 20 // Argon2id: KiB times passes, about half a second
	minSalt, maxSalt = 8, 64   // Argon2id: bytes (RFC 9106, Section 3.1, has 8 to 2^32-1)
	minTag, maxTag   = 16, 64  // Argon2id: bytes; a shorter tag is met by chance
	maxStored        = 300     // bytes of the whole text
)

// stored is a password hash as the database keeps it, parsed. To parse one
// costs nothing; to match one is work for the door.
type stored struct {
	scheme
	text      string // bcrypt
	salt, tag []byte // Argon2id
}

var (
	errUnknown   = errors.New("stored password hash: the algorithm is unknown")
	errMalformed = errors.New("stored password hash: malformed")
)

// CheckStored returns a fault if Verify could never match a hash that is to be
// imported: it is no bcrypt hash ($2a$, $2b$ or $2y$) and no PHC string of
// Argon2id, or it costs too much.
func CheckStored(hash string) error {
	if _, err := parse(hash); err != nil {
		return fault.New(fault.Invalid, "%v: import a bcrypt hash of cost %d to %d, or an argon2id PHC string of at most %d MiB",
			err, minCost, maxCost, maxMemory>>10).Because(err)
	}
	return nil
}

// parse reads a stored hash. Its errors are internal and do not quote it.
func parse(text string) (stored, error) {
	switch {
	case len(text) > maxStored:
		return stored{}, errMalformed
	case strings.HasPrefix(text, "$argon2id$"):
		return parseArgon2id(text)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		// The three are one algorithm for text of at most 72 bytes without
		// U+0000; "$2$" and "$2x$" have known errors.
		return parseBcrypt(text)
	}
	return stored{}, errUnknown
}

// parseBcrypt reads "$2a$", two digits of cost, "$", 22 characters of salt and
// 31 of hash.
func parseBcrypt(text string) (stored, error) {
	if len(text) != 60 || text[6] != '$' || strings.Trim(text[7:], bcryptAlphabet) != "" {
		return stored{}, errMalformed
	}
	cost, ok := number(strings.TrimPrefix(text[4:6], "0"))
	if !ok {
		return stored{}, errMalformed
	}
	if cost < minCost || cost > maxCost {
		return stored{}, fmt.Errorf("stored password hash: bcrypt cost %d is not from %d to %d", cost, minCost, maxCost)
	}
	return stored{scheme: scheme{algorithm: Bcrypt, cost: cost}, text: text}, nil
}

// parseArgon2id reads "$argon2id$v=19$m=…,t=…,p=…$salt$tag", the PHC string
// format with its parameters in this order and none besides, as the reference
// implementation writes it.
func parseArgon2id(text string) (stored, error) {
	part := strings.Split(text, "$")
	if len(part) != 6 || part[2] != "v=19" {
		return stored{}, errMalformed
	}
	value := strings.Split(part[3], ",")
	if len(value) != 3 {
		return stored{}, errMalformed
	}
	m, okM := parameter(value[0], "m=")
	t, okT := parameter(value[1], "t=")
	p, okP := parameter(value[2], "p=")
	salt, okSalt := unpadded(part[4])
	tag, okTag := unpadded(part[5])
	if !okM || !okT || !okP || !okSalt || !okTag {
		return stored{}, errMalformed
	}
	s := scheme{algorithm: Argon2id, memory: m, passes: t, lanes: p, salt: len(salt), tag: len(tag)}
	if t < 1 || t > maxPasses || p < 1 || p > maxLanes || m < 8*p || m > maxMemory || m*t > maxWork {
		return stored{}, fmt.Errorf("stored password hash: %s is out of bounds", s)
	}
	if s.salt < minSalt || s.salt > maxSalt || s.tag < minTag || s.tag > maxTag {
		return stored{}, fmt.Errorf("stored password hash: a salt of %d bytes and a tag of %d are out of bounds", s.salt, s.tag)
	}
	return stored{scheme: s, salt: salt, tag: tag}, nil
}

// phc writes what parseArgon2id reads.
func phc(s scheme, salt, tag []byte) string {
	return fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s", s.memory, s.passes, s.lanes,
		base64.RawStdEncoding.EncodeToString(salt), base64.RawStdEncoding.EncodeToString(tag))
}

func parameter(text, name string) (int, bool) {
	digits, ok := strings.CutPrefix(text, name)
	n, isNumber := number(digits)
	return n, ok && isNumber
}

// number reads a decimal number as strconv writes it, of at most nine digits.
func number(digits string) (int, bool) {
	if len(digits) > 9 {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && strconv.Itoa(n) == digits
}

// unpadded reads base64 without padding, and only as it is written: the decoder
// alone would pass over line breaks.
func unpadded(text string) ([]byte, bool) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(text)
	return b, err == nil && base64.RawStdEncoding.EncodedLen(len(b)) == len(text)
}
