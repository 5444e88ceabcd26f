package audit

// Action is what was done: a noun and a past verb.
type Action string

// The actions. Each has its name in the OWASP Logging Vocabulary in vocabulary.
const (
	LoginSucceeded            Action = "login.succeeded"
	LoginFailed               Action = "login.failed"
	LoginLocked               Action = "login.locked"
	LoginFlood                Action = "login.flood"
	TokenIssued               Action = "token.issued"
	TokenRefreshed            Action = "token.refreshed"
	TokenRefused              Action = "token.refused"
	TokenReused               Action = "token.reused"
	TokenRevoked              Action = "token.revoked"
	CodeIssued                Action = "code.issued"
	CodeReused                Action = "code.reused" // a spent authorization code came again
	ConsentGiven              Action = "consent.given"
	ConsentDenied             Action = "consent.denied"
	ConsentWithdrawn          Action = "consent.withdrawn"
	TokenExchanged            Action = "token.exchanged"
	DeviceRefused             Action = "device.refused" // no device waits with the code that a person typed
	SessionStarted            Action = "session.started"
	SessionEnded              Action = "session.ended"
	PasswordChanged           Action = "password.changed"
	PasswordChangeFailed      Action = "password.change-failed"
	UserCreated               Action = "user.created"
	UserUpdated               Action = "user.updated"
	UserDisabled              Action = "user.disabled"
	UserEnabled               Action = "user.enabled"
	UserUnlocked              Action = "user.unlocked"
	UserDeleted               Action = "user.deleted"
	UserErased                Action = "user.erased"
	RoleCreated               Action = "role.created"
	RoleUpdated               Action = "role.updated"
	RoleDeleted               Action = "role.deleted"
	GrantCreated              Action = "grant.created"
	GrantRevoked              Action = "grant.revoked"
	GroupCreated              Action = "group.created"
	GroupUpdated              Action = "group.updated"
	GroupDeleted              Action = "group.deleted"
	MemberAdded               Action = "member.added"
	MemberRemoved             Action = "member.removed"
	SeparationCreated         Action = "separation.created"
	SeparationUpdated         Action = "separation.updated"
	SeparationDeleted         Action = "separation.deleted"
	ClientCreated             Action = "client.created"
	ClientUpdated             Action = "client.updated"
	ClientDisabled            Action = "client.disabled"
	ClientEnabled             Action = "client.enabled"
	ClientDeleted             Action = "client.deleted"
	ClientSecretRotated       Action = "client.secret-rotated"
	ClientRefused             Action = "client.refused"  // it did not prove who it is
	ClientNotTold             Action = "client.not-told" // it could not be told that somebody is signed out
	StreamCreated             Action = "stream.created"  // a client hears from now on what happens to people
	StreamUpdated             Action = "stream.updated"
	StreamDeleted             Action = "stream.deleted"
	StreamSubjectChanged      Action = "stream.subject-changed"     // whom it hears of
	StreamVerified            Action = "stream.verified"            // it asked to be sent an event about nothing
	StreamNotTold             Action = "stream.not-told"            // it could not be told, or did not take what it was
	RegistrationTokenCreated  Action = "registration-token.created" // whoever has it may register clients
	RegistrationTokenRevoked  Action = "registration-token.revoked"
	RegistrationRefused       Action = "registration.refused" // what came to register a client, or to change one, was no such token
	ExchangeAllowed           Action = "exchange.allowed"     // a client may exchange tokens from somewhere
	ExchangeForbidden         Action = "exchange.forbidden"
	ConditionCreated          Action = "condition.created"
	ConditionUpdated          Action = "condition.updated"
	ConditionDeleted          Action = "condition.deleted"
	ResourceCreated           Action = "resource.created"
	ResourceUpdated           Action = "resource.updated"
	ResourceDeleted           Action = "resource.deleted"
	APIKeyCreated             Action = "apikey.created"
	APIKeyUpdated             Action = "apikey.updated"
	APIKeyRotated             Action = "apikey.rotated"
	APIKeyRevoked             Action = "apikey.revoked"
	APIKeyLeaked              Action = "apikey.leaked"  // it was found where everybody reads it, and revoked
	APIKeyRefused             Action = "apikey.refused" // what came in the place of one was none, or not now
	OrganizationCreated       Action = "organization.created"
	OrganizationUpdated       Action = "organization.updated"
	OrganizationDeleted       Action = "organization.deleted"
	OrganizationMemberAdded   Action = "organization.member-added"
	OrganizationMemberRemoved Action = "organization.member-removed"
	SigningKeyCreated         Action = "signing-key.created"
	SigningKeyRetired         Action = "signing-key.retired"
	PepperCreated             Action = "pepper.created"
	MasterKeyRotated          Action = "master-key.rotated"
	AuditRead                 Action = "audit.read"
	AuditExported             Action = "audit.exported"
	AuditErased               Action = "audit.erased"  // what the log told of a person was deleted
	AuditRetired              Action = "audit.retired" // its oldest events were deleted
	AuditKeyCreated           Action = "audit-key.created"
	ServerStarted             Action = "server.started"
	ServerStopped             Action = "server.stopped"
)

// vocabulary gives each action its event name of the OWASP Logging Vocabulary
// Cheat Sheet, which security teams' tools know.
var vocabulary = map[Action]string{
	LoginSucceeded:            "authn_login_success",
	LoginFailed:               "authn_login_fail",
	LoginLocked:               "authn_login_lock",
	LoginFlood:                "excess_rate_limit_exceeded",
	TokenIssued:               "authn_token_created",
	TokenRefreshed:            "authn_token_created",
	TokenRefused:              "authn_login_fail",
	TokenReused:               "authn_token_reuse",
	CodeIssued:                "authn_token_created",
	CodeReused:                "authn_token_reuse",
	ConsentGiven:              "authz_change",
	ConsentDenied:             "authz_fail",
	ConsentWithdrawn:          "authz_change",
	TokenRevoked:              "authn_token_revoked",
	TokenExchanged:            "authn_token_created",
	DeviceRefused:             "authz_fail",
	SessionStarted:            "session_created",
	SessionEnded:              "session_expired",
	ClientNotTold:             "session_expired",
	PasswordChanged:           "authn_password_change",
	PasswordChangeFailed:      "authn_password_change_fail",
	UserCreated:               "user_created",
	UserUpdated:               "user_updated",
	UserDisabled:              "user_archived",
	UserEnabled:               "user_updated",
	UserUnlocked:              "user_updated",
	UserDeleted:               "user_deleted",
	UserErased:                "user_deleted",
	RoleCreated:               "privilege_permissions_changed",
	RoleUpdated:               "privilege_permissions_changed",
	RoleDeleted:               "privilege_permissions_changed",
	GrantCreated:              "privilege_permissions_changed",
	GrantRevoked:              "privilege_permissions_changed",
	GroupCreated:              "privilege_permissions_changed",
	GroupUpdated:              "privilege_permissions_changed",
	GroupDeleted:              "privilege_permissions_changed",
	MemberAdded:               "privilege_permissions_changed",
	MemberRemoved:             "privilege_permissions_changed",
	SeparationCreated:         "privilege_permissions_changed",
	SeparationUpdated:         "privilege_permissions_changed",
	SeparationDeleted:         "privilege_permissions_changed",
	ClientCreated:             "authz_admin",
	ClientUpdated:             "authz_admin",
	ClientDisabled:            "authz_admin",
	ClientEnabled:             "authz_admin",
	ClientDeleted:             "authz_admin",
	ClientSecretRotated:       "authz_admin",
	ClientRefused:             "authn_login_fail",
	StreamCreated:             "authz_admin",
	StreamUpdated:             "authz_admin",
	StreamDeleted:             "authz_admin",
	StreamSubjectChanged:      "authz_admin",
	StreamVerified:            "authz_admin",
	StreamNotTold:             "session_expired",
	RegistrationTokenCreated:  "authz_admin",
	RegistrationTokenRevoked:  "authz_admin",
	RegistrationRefused:       "authn_login_fail",
	ExchangeAllowed:           "privilege_permissions_changed",
	ExchangeForbidden:         "privilege_permissions_changed",
	ConditionCreated:          "privilege_permissions_changed",
	ConditionUpdated:          "privilege_permissions_changed",
	ConditionDeleted:          "privilege_permissions_changed",
	ResourceCreated:           "authz_admin",
	ResourceUpdated:           "authz_admin",
	ResourceDeleted:           "authz_admin",
	APIKeyCreated:             "authn_token_created",
	APIKeyUpdated:             "authz_admin",
	APIKeyRotated:             "authn_token_created",
	APIKeyRevoked:             "authn_token_revoked",
	APIKeyLeaked:              "authn_token_revoked",
	APIKeyRefused:             "authn_login_fail",
	OrganizationCreated:       "authz_admin",
	OrganizationUpdated:       "authz_admin",
	OrganizationDeleted:       "authz_admin",
	OrganizationMemberAdded:   "privilege_permissions_changed",
	OrganizationMemberRemoved: "privilege_permissions_changed",
	SigningKeyCreated:         "authz_admin",
	SigningKeyRetired:         "authz_admin",
	PepperCreated:             "authz_admin",
	MasterKeyRotated:          "authz_admin",
	AuditRead:                 "sensitive_read",
	AuditExported:             "sensitive_read",
	AuditErased:               "sensitive_delete",
	AuditRetired:              "sensitive_delete",
	AuditKeyCreated:           "authz_admin",
	ServerStarted:             "sys_startup",
	ServerStopped:             "sys_shutdown",
}

// OWASP returns the action's name in the OWASP Logging Vocabulary.
func (a Action) OWASP() string { return vocabulary[a] }
