package factor

import (
	"fmt"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/secret"
)

// BenchmarkVerify compares what a sign-in costs through the door with the same
// hash computed by the library, without workers, in as many goroutines as there
// are cores. The time of the door is to be at most a tenth above.
func BenchmarkVerify(b *testing.B) {
	for _, algorithm := range []string{Bcrypt, Argon2id} {
		b.Run(algorithm+"/library", func(b *testing.B) {
			text, _ := bcrypt.GenerateFromPassword([]byte("password"), 12)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if algorithm == Bcrypt {
						bcrypt.CompareHashAndPassword(text, []byte("password"))
					} else {
						argon2.IDKey([]byte("password"), []byte("0123456789abcdef"), 2, 19456, 1, 32)
					}
				}
			})
		})
		b.Run(algorithm+"/door", func(b *testing.B) {
			h := NewHasher(Options{Algorithm: algorithm})
			defer h.Close()
			good := hash(b, h, "password")
			var callers atomic.Int32
			b.SetParallelism(4)
			b.RunParallel(func(pb *testing.PB) {
				source := fmt.Sprint(callers.Add(1))
				for pb.Next() {
					if r, err := h.Verify(b.Context(), source, secret.From("password"), good); !r.OK || err != nil {
						b.Errorf("%+v, %v", r, err)
					}
				}
			})
		})
	}
}
