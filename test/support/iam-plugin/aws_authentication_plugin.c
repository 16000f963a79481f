/*
 * A server-side AWSAuthenticationPlugin for tests: takes what RDS takes, a SigV4-presigned URL sent with
 * mysql_clear_password over TLS, and checks it against a test key instead of asking IAM.
 *
 * One shared object serves MySQL 9.x and MariaDB 10.11 and 11.x. No package holds MySQL's plugin headers, so the few
 * structs of both ABIs that are needed are declared here; SHA-256 and HMAC come from the libcrypto that the server
 * itself is linked to. Build: gcc -shared -fPIC -O2 -Wall -Wextra -o aws_authentication_plugin.so <this file>
 *
 * The file named by QUERYCOP_TEST_IAM_CONFIG is read at each attempt, lines of key=value:
 *   endpoints=host:port,host:port   what the token's host may be (required)
 *   region=us-east-1                (required)
 *   access_key_id=...               (required)
 *   secret_access_key=...           (required)
 *   session_token=...               required in the token if given, percent-encoding undone
 *   clock_offset_s=0                added to the server's clock
 * One JSON line per attempt goes to the file named by QUERYCOP_TEST_IAM_LOG: the ground truth of what was tried.
 * It never holds the token, only its length and SHA-256.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- libcrypto, resolved from the server process ---- */
extern const void *EVP_sha256(void);
extern unsigned char *HMAC(const void *md, const void *key, int key_len, const unsigned char *data, size_t len,
                           unsigned char *out, unsigned int *out_len);
extern unsigned char *SHA256(const unsigned char *data, size_t len, unsigned char *out);
extern int CRYPTO_memcmp(const void *a, const void *b, size_t len);

/* ---- the part of the plugin ABI that MySQL and MariaDB share ---- */
#define PLUGIN_TYPE_AUTHENTICATION 7
#define PLUGIN_LICENSE_PROPRIETARY 0
#define CR_OK (-1)
#define CR_ERROR 0
#define PASSWORD_USED_YES 1

struct vio {
  int (*read_packet)(struct vio *, unsigned char **);
  int (*write_packet)(struct vio *, const unsigned char *, int);
  void (*info)(struct vio *, void *);
};

/* The first fields of MYSQL_SERVER_AUTH_INFO. Those after auth_string_length lie at different offsets. */
struct auth_info {
  const char *user_name;
  unsigned int user_name_length;
  const char *auth_string;
  unsigned long auth_string_length;
};

/* authenticated_as is 96+1 bytes in MySQL and 512+1 in MariaDB, external_user 512 and 512+1; then int password_used. */
#define MYSQL_PASSWORD_USED_OFFSET 644
#define MARIADB_PASSWORD_USED_OFFSET 1060

/* ---- is the leg encrypted? Neither ABI says so to a plugin: ask the server's own functions. ---- */
#define VIO_TYPE_SSL 4
extern void *mysql_current_thd(void) __asm__("_Z19thd_get_current_thdv") __attribute__((weak));
extern int mysql_thd_vio_type(const void *thd) __asm__("_ZNK3THD12get_vio_typeEv") __attribute__((weak));

struct mariadb_show_var {
  const char *name;
  void *value;
  int type;
};
extern struct mariadb_show_var mariadb_status_vars[] __asm__("status_vars") __attribute__((weak));
extern void *mariadb_current_thd(void) __asm__("_current_thd") __attribute__((weak));
typedef int (*mariadb_show_function)(void *thd, struct mariadb_show_var *out, void *buffer, void *status, int scope);

static int mysql_leg_is_tls(void) {
  return mysql_current_thd && mysql_thd_vio_type && mysql_thd_vio_type(mysql_current_thd()) == VIO_TYPE_SSL;
}

/* MariaDB: the value of the session's status variable Ssl_cipher, empty on a plaintext leg. */
static int mariadb_leg_is_tls(void) {
  char buffer[4096];
  struct mariadb_show_var out = {0};
  if (!mariadb_status_vars || !mariadb_current_thd) return 0;
  for (struct mariadb_show_var *var = mariadb_status_vars; var->name; var++) {
    if (strcmp(var->name, "Ssl_cipher") != 0) continue;
    ((mariadb_show_function)var->value)(mariadb_current_thd(), &out, buffer, NULL, 0);
    return out.value && *(const char *)out.value;
  }
  return 0;
}

/* ---- configuration ---- */
struct config {
  char endpoints[2048], region[64], access_key_id[128], secret_access_key[128], session_token[4096];
  long clock_offset_s;
};

/* What atol() does for decimal numbers. With a newer compiler atol() needs a newer libc than an older server has. */
static long to_long(const char *text) {
  int negative = *text == '-';
  long number = 0;
  if (negative) text++;
  for (; *text >= '0' && *text <= '9' && number < 1000000000000000L; text++) number = number * 10 + (*text - '0');
  return negative ? -number : number;
}

static int set_text(char *to, size_t size, const char *from) {
  if (strlen(from) >= size) return 0;
  strcpy(to, from);
  return 1;
}

static int read_config(struct config *c) {
  const char *path = getenv("QUERYCOP_TEST_IAM_CONFIG");
  char line[5000];
  memset(c, 0, sizeof *c);
  FILE *f = path ? fopen(path, "re") : NULL;
  if (!f) return 0;
  int ok = 1;
  while (fgets(line, sizeof line, f)) {
    line[strcspn(line, "\r\n")] = 0;
    char *value = strchr(line, '=');
    if (!value) continue;
    *value++ = 0;
    if (!strcmp(line, "endpoints")) ok &= set_text(c->endpoints, sizeof c->endpoints, value);
    else if (!strcmp(line, "region")) ok &= set_text(c->region, sizeof c->region, value);
    else if (!strcmp(line, "access_key_id")) ok &= set_text(c->access_key_id, sizeof c->access_key_id, value);
    else if (!strcmp(line, "secret_access_key")) ok &= set_text(c->secret_access_key, sizeof c->secret_access_key, value);
    else if (!strcmp(line, "session_token")) ok &= set_text(c->session_token, sizeof c->session_token, value);
    else if (!strcmp(line, "clock_offset_s")) c->clock_offset_s = to_long(value);
    else ok = 0;
  }
  fclose(f);
  return ok && *c->endpoints && *c->region && *c->access_key_id && *c->secret_access_key;
}

/* ---- the token ---- */
#define TOKEN_BYTES_MAX 16384
#define PARAMETERS_MAX 24

struct parameter {
  const char *name, *value; /* percent-encoded, NUL-terminated in place */
};

struct token {
  char text[TOKEN_BYTES_MAX + 1];
  const char *host; /* host:port */
  struct parameter parameters[PARAMETERS_MAX];
  int count;
};

static int compare_parameters(const void *a, const void *b) {
  return strcmp(((const struct parameter *)a)->name, ((const struct parameter *)b)->name);
}

/* Splits "host:port/?name=value&name=value". Returns the reason of refusal, or NULL. */
static const char *parse_token(struct token *t, const unsigned char *bytes, int length) {
  while (length > 0 && bytes[length - 1] == 0) length--;
  if (length <= 0) return "empty token";
  if (length > TOKEN_BYTES_MAX) return "token too long";
  if (memchr(bytes, 0, (size_t)length)) return "NUL inside the token";
  memcpy(t->text, bytes, (size_t)length);
  t->text[length] = 0;
  char *query = strstr(t->text, "/?");
  if (!query) return "not a presigned URL";
  *query = 0;
  t->host = t->text;
  t->count = 0;
  char *rest = query + 2, *pair;
  while ((pair = strsep(&rest, "&"))) {
    if (t->count == PARAMETERS_MAX) return "too many parameters";
    char *value = strchr(pair, '=');
    if (!value) return "parameter without value";
    *value++ = 0;
    t->parameters[t->count++] = (struct parameter){pair, value};
  }
  qsort(t->parameters, (size_t)t->count, sizeof t->parameters[0], compare_parameters);
  for (int i = 1; i < t->count; i++)
    if (!compare_parameters(&t->parameters[i - 1], &t->parameters[i])) return "parameter given twice";
  return NULL;
}

static const char *parameter(const struct token *t, const char *name) {
  for (int i = 0; i < t->count; i++)
    if (!strcmp(t->parameters[i].name, name)) return t->parameters[i].value;
  return "";
}

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c |= 32;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes percent-encoding; returns 0 if it is broken or does not fit. */
static int decode(const char *from, char *to, size_t size) {
  size_t n = 0;
  for (; *from; from++) {
    int c = (unsigned char)*from;
    if (c == '%') {
      int high = hex_digit(from[1]), low = high < 0 ? -1 : hex_digit(from[2]);
      if (low < 0) return 0;
      c = high * 16 + low;
      from += 2;
    }
    if (n + 1 >= size) return 0;
    to[n++] = (char)c;
  }
  to[n] = 0;
  return 1;
}

static int equals_decoded(const char *encoded, const char *expected) {
  char plain[TOKEN_BYTES_MAX + 1];
  return decode(encoded, plain, sizeof plain) && !strcmp(plain, expected);
}

static int list_has(const char *list, const char *item) {
  size_t length = strlen(item);
  for (const char *at = list; length && (at = strstr(at, item)); at += length)
    if ((at == list || at[-1] == ',') && (at[length] == 0 || at[length] == ',')) return 1;
  return 0;
}

/* "20261121T101500Z" in seconds since 1970, or -1. */
static time_t parse_date(const char *text) {
  struct tm tm = {0};
  if (strlen(text) != 16) return -1;
  const char *end = strptime(text, "%Y%m%dT%H%M%SZ", &tm);
  return end && !*end ? timegm(&tm) : -1;
}

static void to_hex(const unsigned char *bytes, size_t length, char *out) {
  for (size_t i = 0; i < length; i++) sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void hmac(const void *key, size_t key_length, const char *text, unsigned char out[32]) {
  unsigned int out_length = 32;
  HMAC(EVP_sha256(), key, (int)key_length, (const unsigned char *)text, strlen(text), out, &out_length);
}

/* Signature version 4 of a presigned GET / with the host as the only signed header. */
static void sign(const struct token *t, const struct config *c, const char *date, char signature[65]) {
  static const char EMPTY_SHA256[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
  char *canonical = NULL, *to_sign = NULL, hash_hex[65], day[9] = {0}, key_text[160];
  size_t size = 0;
  unsigned char hash[32], key[32];
  FILE *f = open_memstream(&canonical, &size);
  fputs("GET\n/\n", f);
  for (int i = 0, printed = 0; i < t->count; i++) {
    if (!strcmp(t->parameters[i].name, "X-Amz-Signature")) continue;
    fprintf(f, "%s%s=%s", printed++ ? "&" : "", t->parameters[i].name, t->parameters[i].value);
  }
  fprintf(f, "\nhost:%s\n\nhost\n%s", t->host, EMPTY_SHA256);
  fclose(f);
  SHA256((const unsigned char *)canonical, size, hash);
  to_hex(hash, 32, hash_hex);
  free(canonical);

  memcpy(day, date, 8);
  if (asprintf(&to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/rds-db/aws4_request\n%s", date, day, c->region, hash_hex) < 0) abort();
  snprintf(key_text, sizeof key_text, "AWS4%s", c->secret_access_key);
  hmac(key_text, strlen(key_text), day, key);
  hmac(key, 32, c->region, hash);
  hmac(hash, 32, "rds-db", key);
  hmac(key, 32, "aws4_request", hash);
  hmac(hash, 32, to_sign, key);
  free(to_sign);
  to_hex(key, 32, signature);
  signature[64] = 0;
}

/* Returns why the token is refused, or NULL when it is good. */
static const char *judge(const struct token *t, const struct config *c, const char *user) {
  char credential[512], signature[65];
  const char *date = parameter(t, "X-Amz-Date"), *given = parameter(t, "X-Amz-Signature");
  time_t signed_at = parse_date(date), now = time(NULL) + c->clock_offset_s;
  long expires_s = to_long(parameter(t, "X-Amz-Expires"));
  if (!list_has(c->endpoints, t->host)) return "wrong endpoint";
  if (strcmp(parameter(t, "Action"), "connect") != 0) return "wrong action";
  if (!equals_decoded(parameter(t, "DBUser"), user)) return "wrong user";
  if (strcmp(parameter(t, "X-Amz-Algorithm"), "AWS4-HMAC-SHA256") != 0) return "wrong algorithm";
  if (strcmp(parameter(t, "X-Amz-SignedHeaders"), "host") != 0) return "wrong signed headers";
  if (signed_at < 0) return "unreadable date";
  if (expires_s <= 0) return "unreadable expiry";
  if (expires_s > 900) expires_s = 900;
  if (signed_at > now + 60) return "signed in the future";
  if (now > signed_at + expires_s) return "expired";
  snprintf(credential, sizeof credential, "%s/%.8s/%s/rds-db/aws4_request", c->access_key_id, date, c->region);
  if (!equals_decoded(parameter(t, "X-Amz-Credential"), credential)) return "wrong credential scope";
  if (!equals_decoded(parameter(t, "X-Amz-Security-Token"), c->session_token)) return "wrong session token";
  sign(t, c, date, signature);
  if (strlen(given) != 64 || CRYPTO_memcmp(given, signature, 64) != 0) return "wrong signature";
  return NULL;
}

/* ---- the attempt ---- */
static void json_text(FILE *f, const char *text) {
  fputc('"', f);
  for (; *text; text++) {
    unsigned char c = (unsigned char)*text;
    if (c < 0x20 || c == '"' || c == '\\' || c == 0x7f) fprintf(f, "\\u%04x", c);
    else fputc(c, f);
  }
  fputc('"', f);
}

static void log_attempt(const char *user, int is_tls, const char *host, const unsigned char *bytes, int length, const char *reason) {
  const char *path = getenv("QUERYCOP_TEST_IAM_LOG");
  char *line = NULL, digest_hex[65] = {0};
  unsigned char digest[32];
  size_t size = 0;
  int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
  if (fd < 0) return;
  if (length > 0) {
    while (length > 0 && bytes[length - 1] == 0) length--;
    SHA256(bytes, (size_t)length, digest);
    to_hex(digest, 32, digest_hex);
  }
  FILE *f = open_memstream(&line, &size);
  fprintf(f, "{\"timeMs\":%lld,\"user\":", (long long)time(NULL) * 1000);
  json_text(f, user);
  fprintf(f, ",\"tls\":%s,\"endpoint\":", is_tls ? "true" : "false");
  json_text(f, host);
  fprintf(f, ",\"tokenBytes\":%d,\"tokenSha256\":\"%s\",\"accepted\":%s,\"reason\":", length > 0 ? length : 0, digest_hex,
          reason ? "false" : "true");
  json_text(f, reason ? reason : "");
  fputs("}\n", f);
  fclose(f);
  if (write(fd, line, size) < 0) perror("aws_authentication_plugin");
  close(fd);
  free(line);
}

static int authenticate(struct vio *vio, struct auth_info *info, size_t password_used_offset, int (*leg_is_tls)(void)) {
  struct config config;
  struct token *token = calloc(1, sizeof *token);
  unsigned char *packet = NULL;
  const char *reason = NULL;
  /* Reading first makes the server send AuthSwitchRequest, unless the token came in the handshake response already. */
  int length = vio->read_packet(vio, &packet), is_tls = leg_is_tls();
  const char *user = info->user_name ? info->user_name : "";
  *(int *)((char *)info + password_used_offset) = PASSWORD_USED_YES;
  if (!token) reason = "out of memory";
  else if (length < 0) reason = "client closed";
  else if (!is_tls) reason = "plaintext leg";
  else if (!read_config(&config)) reason = "test fixture not configured";
  else if (info->auth_string_length != 3 || memcmp(info->auth_string, "RDS", 3) != 0) reason = "account is not AS 'RDS'";
  else reason = parse_token(token, packet, length);
  if (!reason) reason = judge(token, &config, user);
  log_attempt(user, is_tls, token && token->host ? token->host : "", packet, length, reason);
  free(token);
  return reason ? CR_ERROR : CR_OK;
}

static int authenticate_mysql(struct vio *vio, struct auth_info *info) {
  return authenticate(vio, info, MYSQL_PASSWORD_USED_OFFSET, mysql_leg_is_tls);
}

static int authenticate_mariadb(struct vio *vio, struct auth_info *info) {
  return authenticate(vio, info, MARIADB_PASSWORD_USED_OFFSET, mariadb_leg_is_tls);
}

/* ---- MySQL: struct st_mysql_auth, interface 0x0201; struct st_mysql_plugin, interface 0x010b ---- */
struct mysql_auth {
  int interface_version;
  const char *client_auth_plugin;
  int (*authenticate_user)(struct vio *, struct auth_info *);
  int (*generate_authentication_string)(char *out, unsigned int *out_length, const char *in, unsigned int in_length);
  int (*validate_authentication_string)(char *const in, unsigned int length);
  int (*set_salt)(const char *, unsigned int, unsigned char *, unsigned char *salt_length);
  unsigned long authentication_flags;
  int (*compare_password_with_hash)(const char *, unsigned long, const char *, unsigned long, int *);
};

struct mysql_plugin {
  int type;
  void *info;
  const char *name, *author, *description;
  int license;
  int (*init)(void *), (*check_uninstall)(void *), (*deinit)(void *);
  unsigned int version;
  void *status_vars, *system_vars, *reserved;
  unsigned long flags;
};
_Static_assert(sizeof(struct mysql_plugin) == 112, "the size MySQL 9.7 expects");

/* Keeps what follows AS, within the server's buffer. */
static int mysql_store_auth_string(char *out, unsigned int *out_length, const char *in, unsigned int in_length) {
  if (*out_length < in_length) return 1;
  memcpy(out, in, in_length);
  *out_length = in_length;
  return 0;
}

static int mysql_accept_auth_string(char *const in, unsigned int length) {
  (void)in, (void)length;
  return 0;
}

static int mysql_no_salt(const char *text, unsigned int length, unsigned char *salt, unsigned char *salt_length) {
  (void)text, (void)length, (void)salt;
  *salt_length = 0;
  return 0;
}

static struct mysql_auth mysql_descriptor = {
    .interface_version = 0x0201,
    .client_auth_plugin = "mysql_clear_password",
    .authenticate_user = authenticate_mysql,
    .generate_authentication_string = mysql_store_auth_string,
    .validate_authentication_string = mysql_accept_auth_string,
    .set_salt = mysql_no_salt,
};

int _mysql_plugin_interface_version_ = 0x010b;
int _mysql_sizeof_struct_st_plugin_ = sizeof(struct mysql_plugin);
struct mysql_plugin _mysql_plugin_declarations_[] = {
    {.type = PLUGIN_TYPE_AUTHENTICATION,
     .info = &mysql_descriptor,
     .name = "AWSAuthenticationPlugin",
     .author = "querycop tests",
     .description = "Checks presigned RDS tokens against a test key",
     .license = PLUGIN_LICENSE_PROPRIETARY,
     .version = 0x0100},
    {0},
};

/* ---- MariaDB: authentication interface 0x0202; struct st_maria_plugin, interface 0x010f ---- */
struct mariadb_auth {
  int interface_version;
  const char *client_auth_plugin;
  int (*authenticate_user)(struct vio *, struct auth_info *);
  void *hash_password, *preprocess_hash;
};

struct mariadb_plugin {
  int type;
  void *info;
  const char *name, *author, *description;
  int license;
  int (*init)(void *), (*deinit)(void *);
  unsigned int version;
  void *status_vars, *system_vars;
  const char *version_info;
  unsigned int maturity;
};

static struct mariadb_auth mariadb_descriptor = {
    .interface_version = 0x0202,
    .client_auth_plugin = "mysql_clear_password",
    .authenticate_user = authenticate_mariadb,
};

#define MARIADB_MATURITY_STABLE 5
int _maria_plugin_interface_version_ = 0x010f;
int _maria_sizeof_struct_st_plugin_ = sizeof(struct mariadb_plugin);
struct mariadb_plugin _maria_plugin_declarations_[] = {
    {.type = PLUGIN_TYPE_AUTHENTICATION,
     .info = &mariadb_descriptor,
     .name = "AWSAuthenticationPlugin",
     .author = "querycop tests",
     .description = "Checks presigned RDS tokens against a test key",
     .license = PLUGIN_LICENSE_PROPRIETARY,
     .version = 0x0100,
     .version_info = "1.0",
     .maturity = MARIADB_MATURITY_STABLE},
    {0},
};
