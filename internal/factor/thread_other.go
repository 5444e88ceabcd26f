//go:build !linux

package factor

// lowerPriority lowers the priority of the present thread, where the system has
// a priority for each: here it does nothing.
func lowerPriority() {}
