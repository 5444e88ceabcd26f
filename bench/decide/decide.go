// Package decide makes the roles, users and questions that decisions are measured
// with: 1,000 roles in 10 levels that hold 10,000 permissions, and as many users as
// one likes, each with three roles. It is data alone, so that others can be measured
// with the same.
package decide

import "fmt"

// The size of the policy.
const (
	Roles       = 1_000
	Permissions = 10_000
)

// Role is a role: it holds ten permissions of its own and inherits the two roles that
// stand at half and at a third of its number, so that the longest chain has ten.
type Role struct {
	Name                  string
	Permissions, Inherits []string
}

// Policy returns all roles.
func Policy() []Role {
	all := make([]Role, Roles)
	for i := range all {
		all[i].Name = roleName(i)
		for j := range Permissions / Roles {
			all[i].Permissions = append(all[i].Permissions, Permission(i*10+j))
		}
		if i > 3 {
			all[i].Inherits = []string{all[i/2].Name, all[i/3].Name}
		}
	}
	return all
}

func roleName(i int) string { return fmt.Sprintf("role-%04d", i%Roles) }

// Permission returns the name of permission i.
func Permission(i int) string {
	return fmt.Sprintf("resource-%03d:action-%02d", i%Permissions/100, i%100)
}

// User returns the name of user i.
func User(i int) string { return fmt.Sprintf("user-%07d", i) }

// RolesOf returns the roles of user i. One may come twice.
func RolesOf(i int) []string { return []string{roleName(i), roleName(i * 7), roleName(i * 13)} }

// Question is whether a user holds a permission.
type Question struct {
	User       int
	Permission string
}

// Questions returns n questions about so many users. Every other one asks for what a
// role of the user holds itself, the rest for whatever comes.
func Questions(n, users int) []Question {
	list := make([]Question, n)
	for i := range list {
		user := i * 7919 % users
		list[i] = Question{user, Permission(i * 104729)}
		if i%2 == 0 {
			list[i].Permission = Permission(user * 13 % Roles * 10)
		}
	}
	return list
}
