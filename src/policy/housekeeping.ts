/**
 * Tables in which migration tools keep their own books: a lock of one row, a list of what has run. The tools change them
 * without WHERE or empty them, on every database, and nothing of the application's is in them.
 */
import { compileGlob, type NameMatcher } from "./glob.ts";
import type { PolicyException } from "./policy.ts";

const TABLES: readonly string[] = [
  "knex_migrations", // Knex, Objection; another name is set as tableName
  "knex_migrations_lock",
  "kysely_migration", // Kysely
  "kysely_migration_lock",
  "__drizzle_migrations", // Drizzle
  "_prisma_migrations", // Prisma
  "sequelizemeta", // Sequelize, umzug
  "sequelizedata",
  "typeorm_metadata", // TypeORM
  "mikro_orm_migrations", // MikroORM
  "django_migrations", // Django
  "alembic_version", // Alembic
  "schema_migrations", // Rails, golang-migrate, dbmate
  "ar_internal_metadata", // Rails
  "schema_lock", // golang-migrate
  "goose_db_version", // goose
  "gorp_migrations", // sql-migrate
  "flyway_schema_history", // Flyway
  "databasechangelog", // Liquibase
  "databasechangeloglock",
  "phinxlog", // Phinx, CakePHP
  "doctrine_migration_versions", // Doctrine
  "__efmigrationshistory", // Entity Framework
  "__efmigrationslock",
];

/** Tools write `DATABASECHANGELOG`, `SequelizeMeta` and the like, and nobody else has tables of such names. */
const inAnyCase = (matcher: NameMatcher): NameMatcher => ({ ...matcher, matchesAsWritten: matcher.matches });

/**
 * What the tools do to them is no statement without WHERE to be warned of. As with any exception that names tables, all
 * tables of the text must be among these; what a policy states itself (read-only, deny lists, tenants) stays.
 */
export const HOUSEKEEPING: PolicyException = {
  id: "built-in.housekeeping",
  line: 0,
  reason: "A migration tool's own table",
  expiresAtMs: Number.POSITIVE_INFINITY,
  rules: ["dml.nowhere", "ddl.truncate"].map((rule) => compileGlob(rule)),
  users: [],
  schemas: [],
  tables: TABLES.map((table) => ({ text: table, schema: undefined, table: inAnyCase(compileGlob(table)) })),
  addresses: [],
  digests: new Set(),
};
