<?php
// Runs prepared statements with pgsql or PDO. Standard input: { driver, options, steps }. A JSON line per step.
$request = json_decode(stream_get_contents(STDIN), true);
$options = $request['options'];

function tell(array $result): void {
  echo json_encode($result, JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR), "\n";
}

function textual(array $rows): array {
  return array_map(fn($row) => array_map(fn($value) => $value === null ? null : (string) $value, $row), $rows);
}

final class ServerError extends RuntimeException {
  public function __construct(public readonly string $state, string $message) {
    parent::__construct($message);
  }
}

/** The functions give no code of the error: the result behind pg_get_result() has it. */
function finished(PgSql\Connection $db): array {
  $rows = [];
  $failure = null;
  while (($result = pg_get_result($db)) !== false) {
    $state = pg_result_error_field($result, PGSQL_DIAG_SQLSTATE);
    if ($state) $failure ??= new ServerError($state, pg_result_error_field($result, PGSQL_DIAG_MESSAGE_PRIMARY));
    else $rows = array_merge($rows, pg_fetch_all($result, PGSQL_NUM));
  }
  if ($failure !== null) throw $failure;
  return $rows;
}

function runPgsql(PgSql\Connection $db, array $step, int $index): array {
  if (isset($step['copy'])) {
    if (!pg_copy_from($db, $step['table'], explode("\n", rtrim($step['copy'])))) {
      throw new ServerError('', pg_last_error($db));
    }
    return [];
  }
  if (count($step['values']) === 0) {
    pg_send_query($db, $step['sql']);
    return finished($db);
  }
  pg_send_prepare($db, "statement $index", $step['sql']);
  finished($db);
  pg_send_execute($db, "statement $index", $step['values']);
  return finished($db);
}

function runPdo(PDO $db, array $step): array {
  if (isset($step['copy'])) {
    $db->pgsqlCopyFromArray($step['table'], explode("\n", rtrim($step['copy'])));
    return [];
  }
  $options = ($step['cursor'] ?? false) ? [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL] : [];
  if ($options !== []) $db->beginTransaction();
  $statement = $db->prepare($step['sql'], $options);
  foreach ($step['values'] as $index => $value) {
    $statement->bindValue($index + 1, $value, is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR);
  }
  $statement->execute();
  $rows = $statement->columnCount() > 0 ? $statement->fetchAll(PDO::FETCH_NUM) : [];
  if ($options !== []) $db->commit();
  return $rows;
}

['host' => $host, 'port' => $port, 'user' => $user, 'password' => $password, 'database' => $database] = $options;
$words = "host=$host port=$port dbname=$database sslmode={$options['sslMode']}";
if ($request['driver'] === 'pgsql') {
  $db = pg_connect("$words user=$user password='$password'");
  $run = fn($step, $index) => runPgsql($db, $step, $index);
} else {
  $db = new PDO("pgsql:$words", $user, $password);
  $db->setAttribute(PDO::ATTR_STRINGIFY_FETCHES, true);
  $run = fn($step) => runPdo($db, $step);
}
foreach ($request['steps'] as $index => $step) {
  try {
    tell(['rows' => textual($run($step, $index))]);
  } catch (ServerError $error) {
    tell(['error' => $error::class, 'code' => $error->state, 'message' => $error->getMessage()]);
  } catch (PDOException $error) {
    tell(['error' => $error::class, 'code' => $error->errorInfo[0], 'message' => $error->errorInfo[2]]);
  }
}
