-- Organizations, and who belongs to them. Grants name an organization by its id.
CREATE TABLE organizations (
    id           TEXT   NOT NULL PRIMARY KEY,
    name         TEXT   NOT NULL UNIQUE,
    display_name TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    version      BIGINT NOT NULL
);

CREATE TABLE organization_members (
    organization TEXT   NOT NULL,
    principal    TEXT   NOT NULL,
    kind         TEXT   NOT NULL, -- 'user', or 'service' for a client
    added_by     TEXT   NOT NULL,
    added_at     BIGINT NOT NULL,
    PRIMARY KEY (organization, principal)
);
CREATE INDEX organization_members_principal ON organization_members (principal, organization);

CREATE INDEX grants_organization ON grants (organization) WHERE organization <> '';

-- The id of the organization that a family's tokens are for; empty for none.
ALTER TABLE token_families ADD COLUMN organization TEXT NOT NULL DEFAULT '';
CREATE INDEX token_families_organization ON token_families (organization) WHERE organization <> '' AND ended_at = 0;
