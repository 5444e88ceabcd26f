package guard

import (
	"context"
	"fmt"
)

// keySource gives the keys that may have signed a token.
type keySource interface {
	// current returns the keys, or an error in the tree of ErrUnavailable.
	current(context.Context) (*KeySet, error)
	// newer is asked when seen, which current returned, lacks a key. It returns
	// a newer set where there is one, and seen where not.
	newer(ctx context.Context, seen *KeySet) *KeySet
}

// inProcess are keys that this process holds.
type inProcess func() *KeySet

func (f inProcess) current(context.Context) (*KeySet, error) {
	if set := f(); set != nil {
		return set, nil
	}
	return nil, fmt.Errorf("%w: there are no keys yet", ErrUnavailable)
}

func (f inProcess) newer(_ context.Context, seen *KeySet) *KeySet {
	if set := f(); set != nil {
		return set
	}
	return seen
}
