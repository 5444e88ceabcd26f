// Swaggergen brings the files of Swagger UI that the reference is made of from npm, at the
// version that is written here, and refuses what is not byte for byte what was looked at.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// To take another version, change these: npm view swagger-ui-dist@VERSION dist.integrity
const (
	version   = "5.35.0"
	integrity = "sha512-U06rpMtW9V3XPGOBeamTUSr0Z09jMX4IJuANpE/EZbAhw0G8CgwrzU4YmXkn/h0wCDNsXdGarTNNHC3sU8yVUQ=="
)

// files are what of the package is served.
var files = []string{"swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css"}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "swaggergen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: swaggergen FOLDER")
	}
	packed, err := pack()
	if err != nil {
		return err
	}
	return write(args[0], packed)
}

// pack returns the package as npm has it.
func pack() ([]byte, error) {
	folder, err := os.MkdirTemp("", "swaggergen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", folder, "swagger-ui-dist@"+version) //nolint:gosec // constants, but for a folder of its own
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack: %w", err)
	}
	return os.ReadFile(filepath.Join(folder, "swagger-ui-dist-"+version+".tgz"))
}

// write writes the files of a package into a folder, compressed, and what they are.
func write(folder string, packed []byte) error {
	sum := sha512.Sum512(packed)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("the package is %s, not %s", got, integrity)
	}
	all, err := unpack(packed)
	if err != nil {
		return err
	}
	record := fmt.Sprintf("swagger-ui-dist %s %s\n", version, integrity)
	for _, name := range files {
		text, ok := all["package/"+name]
		if !ok {
			return fmt.Errorf("the package has no %s", name)
		}
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := z.Write(text); err != nil {
			return err
		}
		if err := z.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name+".gz"), b.Bytes(), 0o600); err != nil { //nolint:gosec // the folder is named by whoever runs go generate
			return err
		}
		record += fmt.Sprintf("%s %x\n", name, sha256.Sum256(text))
	}
	return os.WriteFile(filepath.Join(folder, "record.txt"), []byte(record), 0o600) //nolint:gosec // likewise
}

func unpack(packed []byte) (map[string][]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		if all[h.Name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}
