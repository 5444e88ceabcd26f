package jose

// SignInput signs bytes as they are, so that tests can sign any header.
func (s *Signer) SignInput(input []byte) ([]byte, error) { return s.sign(input) }
