package limit

// Lanes returns how many buckets somebody is in, or waits for, in this process.
func (s *Service) Lanes() int {
	s.gate.mu.Lock()
	defer s.gate.mu.Unlock()
	return len(s.gate.lanes)
}

// Waiting is how many may wait for one bucket.
const Waiting = most
