package store

// Waiting returns how many jobs wait to be written in a group.
func (s *Store) Waiting() int {
	if lite, ok := s.db.(*sqliteDB); ok {
		return len(lite.queue.jobs)
	}
	return len(s.db.(*postgresDB).records.jobs)
}
