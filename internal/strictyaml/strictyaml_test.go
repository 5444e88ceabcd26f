package strictyaml

import "testing"

// The library has panicked on files before; a panic of it is a mistake in the file.
func TestPanic(t *testing.T) {
	if err := decode(nil, nil); err == nil {
		t.Error("the panic of a decoder that is not there was lost")
	}
}
