package audit

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
)

// The Open Cybersecurity Schema Framework (OCSF) gives events of all makers one
// form, so that a security team's tools can read them together. Below is which
// of its classes each action belongs to. The numbers are of version 1.4.

// OCSFVersion is the version of the framework that the mapping keeps to.
const OCSFVersion = "1.4.0"

// Class is a class of the framework, with its category.
type Class struct {
	UID      int
	Name     string
	Category int
}

// The classes that events of this log belong to.
var (
	accountChange        = Class{3001, "Account Change", 3}
	authentication       = Class{3002, "Authentication", 3}
	entityManagement     = Class{3004, "Entity Management", 3}
	userAccess           = Class{3005, "User Access Management", 3}
	groupManagement      = Class{3006, "Group Management", 3}
	apiActivity          = Class{6003, "API Activity", 6}
	applicationLifecycle = Class{6002, "Application Lifecycle", 6}
)

var categories = map[int]string{3: "Identity & Access Management", 6: "Application Activity"}

// Severity is how much an event should worry somebody, as the framework counts.
type Severity int

// The severities that are used.
const (
	Informational Severity = 1
	Low           Severity = 2
	Medium        Severity = 3
	High          Severity = 4
)

// String returns the severity as the framework names it.
func (s Severity) String() string { return severities[s] }

var severities = map[Severity]string{Informational: "Informational", Low: "Low", Medium: "Medium", High: "High"}

// Mapping is what an action is in the framework.
type Mapping struct {
	Class    Class
	Activity int    // activity_id in the class
	Name     string // activity_name
	Severity Severity
	When     string // in words, for the manual
}

// ocsf gives each action its class, and says when it is recorded. A new action
// without a line here fails a test.
var ocsf = map[Action]Mapping{
	LoginSucceeded:            {authentication, 1, "Logon", Informational, "somebody signed in"},
	LoginFailed:               {authentication, 1, "Logon", Low, "a sign-in failed"},
	LoginLocked:               {accountChange, 9, "Lock", Medium, "sign-ins to an account failed too often, and it is locked for strangers for a while"},
	LoginFlood:                {authentication, 99, "Flood", High, "sign-ins fail more often than one would guess by hand, over many accounts or from one network"},
	TokenIssued:               {authentication, 3, "Authentication Ticket", Informational, "tokens were issued at a sign-in, or to a client for itself"},
	TokenRefreshed:            {authentication, 5, "Service Ticket Renew", Informational, "a refresh token was spent for the next pair"},
	TokenRefused:              {authentication, 5, "Service Ticket Renew", Low, "a refresh token was refused: it has expired, or its session is over. Of a family that has ended before it is counted"},
	CodeIssued:                {authentication, 3, "Authentication Ticket", Informational, "an application was given an authorization code"},
	CodeReused:                {authentication, 3, "Authentication Ticket", High, "a spent authorization code came again: it may have been stolen, and what came of it ends"},
	ConsentGiven:              {accountChange, 99, "Give Consent", Informational, "a person agreed to what an application asked for"},
	ConsentDenied:             {authentication, 3, "Authentication Ticket", Low, "a person refused what an application asked for"},
	ConsentWithdrawn:          {accountChange, 99, "Withdraw Consent", Informational, "a person took back what an application may do"},
	DeviceRefused:             {authentication, 3, "Authentication Ticket", Low, "a person typed a code with which no device waits"},
	TokenReused:               {authentication, 5, "Service Ticket Renew", High, "a spent refresh token came again: it may have been stolen, and its family ends"},
	TokenRevoked:              {authentication, 2, "Logoff", Informational, "a token family, or the token of a client, ended: signed out, displaced or revoked"},
	TokenExchanged:            {authentication, 3, "Authentication Ticket", Low, "a client traded a token or an API key for a token about its subject: it acts for him, or in his place"},
	SessionStarted:            {authentication, 99, "Session Start", Informational, "a browser session began"},
	SessionEnded:              {authentication, 2, "Logoff", Informational, "a browser session ended"},
	PasswordChanged:           {accountChange, 3, "Password Change", Medium, "an account got another password"},
	PasswordChangeFailed:      {accountChange, 3, "Password Change", Medium, "a password was not changed: the present one was wrong"},
	UserCreated:               {accountChange, 1, "Create", Low, "an account was made"},
	UserUpdated:               {accountChange, 99, "Update", Low, "an account's names, email, profile or attributes changed"},
	UserDisabled:              {accountChange, 5, "Disable", Medium, "an account was disabled; what was signed in ended"},
	UserEnabled:               {accountChange, 2, "Enable", Medium, "an account was enabled again"},
	UserUnlocked:              {accountChange, 12, "Unlock", Medium, "what was counted against an account was forgotten"},
	UserDeleted:               {accountChange, 6, "Delete", Medium, "an account was deleted"},
	UserErased:                {accountChange, 99, "Erase", Medium, "a person was erased from the log"},
	RoleCreated:               {entityManagement, 1, "Create", Medium, "a role was made"},
	RoleUpdated:               {entityManagement, 3, "Update", Medium, "a role got other permissions"},
	RoleDeleted:               {entityManagement, 4, "Delete", Medium, "a role was deleted, and taken from everybody"},
	GrantCreated:              {userAccess, 1, "Assign Privileges", Medium, "a role was given"},
	GrantRevoked:              {userAccess, 2, "Revoke Privileges", Medium, "a role was taken away"},
	GroupCreated:              {groupManagement, 6, "Create", Medium, "a group was made"},
	GroupUpdated:              {groupManagement, 99, "Update", Low, "a group got another description"},
	GroupDeleted:              {groupManagement, 5, "Delete", Medium, "a group was deleted; who was in it lost what it was given"},
	MemberAdded:               {groupManagement, 3, "Add User", Medium, "somebody came into a group, and holds what it was given"},
	MemberRemoved:             {groupManagement, 4, "Remove User", Medium, "somebody was taken out of a group"},
	SeparationCreated:         {entityManagement, 1, "Create", Medium, "roles are kept apart from now on"},
	SeparationUpdated:         {entityManagement, 3, "Update", Medium, "other roles are kept apart"},
	SeparationDeleted:         {entityManagement, 4, "Delete", Medium, "roles may be held together again"},
	ClientCreated:             {entityManagement, 1, "Create", Medium, "a client was registered"},
	ClientUpdated:             {entityManagement, 3, "Update", Medium, "a client got another name, other scopes or another way to prove who it is"},
	ClientDisabled:            {entityManagement, 9, "Disable", Medium, "a client was disabled; its tokens are void"},
	ClientEnabled:             {entityManagement, 8, "Enable", Medium, "a client was enabled again"},
	ClientDeleted:             {entityManagement, 4, "Delete", Medium, "a client was deleted; its tokens are void"},
	ClientSecretRotated:       {entityManagement, 3, "Update", Medium, "a client got another secret"},
	ClientRefused:             {authentication, 1, "Logon", Low, "somebody did not prove that he is the client that he names"},
	ClientNotTold:             {authentication, 2, "Logoff", Medium, "a client could not be told that somebody is signed out: it is tried again, unless the client refuses or a day has passed"},
	StreamCreated:             {entityManagement, 1, "Create", Medium, "a client made a stream, by which it hears of what happens to people who signed in to it"},
	StreamUpdated:             {entityManagement, 3, "Update", Medium, "a stream got another receiver or other events, was paused, disabled or enabled; or the server paused it, since its receiver is away"},
	StreamDeleted:             {entityManagement, 4, "Delete", Medium, "a stream was deleted, with all that waited on it"},
	StreamSubjectChanged:      {entityManagement, 3, "Update", Low, "a client put somebody on a stream, or took him off"},
	StreamVerified:            {apiActivity, 1, "Create", Informational, "a client asked for an event that shows that its stream works"},
	StreamNotTold:             {apiActivity, 99, "Deliver", Medium, "an event could not be pushed, which is tried again for three days; or the receiver refused it, and it is gone"},
	RegistrationTokenCreated:  {entityManagement, 1, "Create", Medium, "a token was made by which clients can be registered"},
	RegistrationTokenRevoked:  {entityManagement, 4, "Delete", Medium, "such a token was revoked; the clients that it registered stay"},
	RegistrationRefused:       {authentication, 1, "Logon", Low, "somebody showed a token that registers no client, or does not change the client that he names"},
	ExchangeAllowed:           {entityManagement, 1, "Create", Medium, "a client may exchange tokens from somewhere for tokens for an API"},
	ExchangeForbidden:         {entityManagement, 4, "Delete", Medium, "a client may exchange such tokens no more; its tokens are void"},
	ConditionCreated:          {entityManagement, 1, "Create", Medium, "a condition was made: policies that permit or forbid beside the roles"},
	ConditionUpdated:          {entityManagement, 3, "Update", Medium, "a condition got other policies"},
	ConditionDeleted:          {entityManagement, 4, "Delete", Medium, "a condition was deleted"},
	ResourceCreated:           {entityManagement, 1, "Create", Medium, "an API was registered"},
	ResourceUpdated:           {entityManagement, 3, "Update", Medium, "an API got another name, other permissions, another lifetime or algorithm of its tokens"},
	ResourceDeleted:           {entityManagement, 4, "Delete", Medium, "an API was deleted; tokens for it are void"},
	APIKeyCreated:             {entityManagement, 1, "Create", Medium, "an API key was made"},
	APIKeyUpdated:             {entityManagement, 3, "Update", Medium, "an API key got another name, other scopes, networks, resources or another rate limit"},
	APIKeyRotated:             {entityManagement, 3, "Update", Medium, "an API key got another secret; the one before works until its overlap ends"},
	APIKeyRevoked:             {entityManagement, 4, "Delete", Medium, "an API key was revoked"},
	APIKeyLeaked:              {entityManagement, 4, "Delete", High, "an API key was found in public, and revoked"},
	APIKeyRefused:             {authentication, 1, "Logon", Low, "an API key was refused: it is unknown, wrong, expired or not for where it came from, or its owner is not active"},
	OrganizationCreated:       {entityManagement, 1, "Create", Medium, "an organization was made"},
	OrganizationUpdated:       {entityManagement, 3, "Update", Informational, "an organization got another name for people"},
	OrganizationDeleted:       {entityManagement, 4, "Delete", Medium, "an organization was deleted, with all roles that were held in it"},
	OrganizationMemberAdded:   {userAccess, 1, "Assign Privileges", Low, "an account or a client became a member of an organization"},
	OrganizationMemberRemoved: {userAccess, 2, "Revoke Privileges", Medium, "a member left an organization, and lost the roles that it had in it"},
	SigningKeyCreated:         {entityManagement, 1, "Create", Medium, "a signing key was made"},
	SigningKeyRetired:         {entityManagement, 4, "Delete", Medium, "a signing key was retired"},
	PepperCreated:             {entityManagement, 1, "Create", Low, "an inner key was made"},
	MasterKeyRotated:          {entityManagement, 3, "Update", High, "what is sealed was sealed anew, under another master key"},
	AuditExported:             {apiActivity, 2, "Read", Low, "somebody exported the log"},
	AuditErased:               {apiActivity, 4, "Delete", Medium, "what the log told of a person was deleted, for good"},
	AuditRetired:              {apiActivity, 4, "Delete", Informational, "the log's oldest events had their time"},
	AuditKeyCreated:           {apiActivity, 1, "Create", Medium, "a key that signs checkpoints"},
	AuditRead:                 {apiActivity, 2, "Read", Low, "somebody read the log; once an hour while he goes on"},
	ServerStarted:             {applicationLifecycle, 3, "Start", Informational, "a server started"},
	ServerStopped:             {applicationLifecycle, 4, "Stop", Informational, "a server stopped in good order"},
}

// OCSF returns what a is in the framework. An action of a later version is API
// activity of another kind.
func (a Action) OCSF() Mapping {
	if m, ok := ocsf[a]; ok {
		return m
	}
	return Mapping{apiActivity, 99, string(a), Low, ""}
}

type (
	ocsfEvent struct {
		Class        int             `json:"class_uid"`
		ClassName    string          `json:"class_name"`
		Category     int             `json:"category_uid"`
		CategoryName string          `json:"category_name"`
		Activity     int             `json:"activity_id"`
		ActivityName string          `json:"activity_name"`
		Type         int             `json:"type_uid"`
		Severity     Severity        `json:"severity_id"`
		SeverityName string          `json:"severity"`
		Status       int             `json:"status_id"`
		StatusName   string          `json:"status"`
		StatusDetail string          `json:"status_detail,omitempty"`
		Time         int64           `json:"time"` // milliseconds
		Metadata     ocsfMetadata    `json:"metadata"`
		Actor        ocsfActor       `json:"actor"`
		User         *ocsfUser       `json:"user,omitempty"`
		Entity       *ocsfUser       `json:"entity,omitempty"`
		Group        *ocsfUser       `json:"group,omitempty"`
		API          *ocsfAPI        `json:"api,omitempty"`
		App          *ocsfProduct    `json:"app,omitempty"`
		Service      *ocsfNamed      `json:"service,omitempty"`
		Privileges   []string        `json:"privileges,omitempty"`
		Resources    []ocsfUser      `json:"resources,omitempty"`
		Source       *ocsfEndpoint   `json:"src_endpoint,omitempty"`
		Request      *ocsfRequest    `json:"http_request,omitempty"`
		Unmapped     json.RawMessage `json:"unmapped"` // the bytes of the leaf
	}
	ocsfMetadata struct {
		UID      string      `json:"uid"`
		Version  string      `json:"version"`
		Product  ocsfProduct `json:"product"`
		Code     Action      `json:"event_code"`
		Sequence *int64      `json:"sequence,omitempty"` // the number of the leaf
	}
	ocsfProduct struct {
		Name   string `json:"name"`
		Vendor string `json:"vendor_name"`
	}
	ocsfActor struct {
		User ocsfUser `json:"user"`
		App  string   `json:"app_name,omitempty"` // the client
	}
	ocsfUser struct {
		UID  string `json:"uid,omitempty"`
		Type string `json:"type,omitempty"`
	}
	ocsfAPI struct {
		Operation string `json:"operation"`
	}
	ocsfNamed struct {
		Name string `json:"name"`
	}
	ocsfEndpoint struct {
		IP   string `json:"ip,omitempty"`
		Name string `json:"name,omitempty"` // where no address is known
	}
	ocsfRequest struct {
		UID   string `json:"uid,omitempty"`
		Agent string `json:"user_agent,omitempty"`
	}
)

// OCSF returns an event of the log in the form of the framework: one JSON object.
// Beside what the framework knows it holds the whole leaf.
func (e Entry) OCSF() ([]byte, error) {
	var p public
	if err := json.Unmarshal(e.Public, &p); err != nil {
		return nil, err
	}
	at, err := time.Parse(TimeFormat, p.At)
	if err != nil {
		return nil, err
	}
	m := p.Action.OCSF()
	v := ocsfEvent{
		Class: m.Class.UID, ClassName: m.Class.Name, Category: m.Class.Category, CategoryName: categories[m.Class.Category],
		Activity: m.Activity, ActivityName: m.Name, Type: m.Class.UID*100 + m.Activity, Severity: m.Severity, SeverityName: m.Severity.String(),
		Status: 2, StatusName: "Failure", StatusDetail: p.Reason, Time: at.UnixMilli(),
		Metadata: ocsfMetadata{UID: p.ID, Version: OCSFVersion, Product: ocsfProduct{"Doorward", "Doorward"}, Code: p.Action},
		Actor:    ocsfActor{User: userOf(p.Actor), App: p.Client}, Unmapped: e.Public,
	}
	if e.Leaf >= 0 {
		v.Metadata.Sequence = &e.Leaf
	}
	if p.Outcome == Success {
		v.Status, v.StatusName = 1, "Success"
	}
	v.about(p, m)
	from := e.from()
	if from.Address != "" {
		v.Source = &ocsfEndpoint{IP: from.Address}
	}
	if p.Request != "" || from.Agent != "" {
		v.Request = &ocsfRequest{p.Request, from.Agent}
	}
	return json.Marshal(v)
}

// about sets what the framework requires of a class: whom or what the event is
// about.
func (v *ocsfEvent) about(p public, m Mapping) {
	target := userOf(p.Target)
	switch m.Class {
	case entityManagement:
		v.Entity = &target
		return
	case groupManagement:
		v.Group = &target
		if name := p.Detail["group"]; name != "" {
			v.Group = &ocsfUser{UID: name, Type: "group"}
		}
		if target.Type == "user" {
			v.User = &target
		}
		return
	case apiActivity:
		v.API, v.Resources, v.Source = &ocsfAPI{m.Name}, []ocsfUser{target}, &ocsfEndpoint{Name: unknown}
		return
	case applicationLifecycle:
		v.App = &v.Metadata.Product
		return
	case userAccess:
		v.Privileges = []string{p.Detail["role"]}
	case authentication:
		v.Service = &ocsfNamed{v.Metadata.Product.Name}
	}
	if v.User = &v.Actor.User; target.Type == "user" {
		v.User = &target
	}
}

// origin is where the request of an event came from.
type origin struct {
	Address string `json:"address"`
	Agent   string `json:"user_agent"`
}

// from returns where the request came from, if that is there: one part of an event
// says it.
func (e Entry) from() (o origin) {
	for _, p := range e.Private {
		if json.Unmarshal(p.Data, &o) == nil && o.Address != "" {
			return o
		}
	}
	return origin{}
}

// unknown stands where the framework requires a name and nobody has one.
const unknown = "unknown"

// userOf takes what an event calls somebody apart. Nobody has an id.
func userOf(name string) ocsfUser {
	kind, which, _ := strings.Cut(name, ":")
	return ocsfUser{UID: cmp.Or(which, unknown), Type: kind}
}
