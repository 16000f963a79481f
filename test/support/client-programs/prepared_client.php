<?php
// Runs prepared statements with mysqli or PDO. Standard input: { driver, options, steps }. A JSON line per step.
$request = json_decode(stream_get_contents(STDIN), true);
$options = $request['options'];

function tell(array $result): void {
  echo json_encode($result, JSON_UNESCAPED_UNICODE | JSON_THROW_ON_ERROR), "\n";
}

function textual(array $rows): array {
  return array_map(fn($row) => array_map(fn($value) => $value === null ? null : (string) $value, $row), $rows);
}

function runMysqli(mysqli $db, array $step): array {
  $statement = $db->prepare($step['sql']);
  if ($step['cursor'] ?? false) $statement->attr_set(MYSQLI_STMT_ATTR_CURSOR_TYPE, MYSQLI_CURSOR_TYPE_READ_ONLY);
  if (count($step['values']) > 0) {
    $values = $step['values'];
    $types = implode('', array_map(fn($value) => is_int($value) ? 'i' : (is_float($value) ? 'd' : 's'), $values));
    $long = $step['long'] ?? null;
    if ($long !== null) $types[$long] = 'b';
    $statement->bind_param($types, ...$values);
    if ($long !== null) foreach (str_split($values[$long], 3) as $piece) $statement->send_long_data($long, $piece);
  }
  $statement->execute();
  $rows = [];
  do {
    $result = $statement->get_result();
    if ($result !== false) $rows = array_merge($rows, $result->fetch_all(MYSQLI_NUM));
  } while ($statement->more_results() && $statement->next_result());
  $statement->close();
  return $rows;
}

function runPdo(PDO $db, array $step): array {
  $statement = $db->prepare($step['sql']);
  foreach ($step['values'] as $index => $value) {
    $statement->bindValue($index + 1, $value, is_int($value) ? PDO::PARAM_INT : PDO::PARAM_STR);
  }
  $statement->execute();
  $rows = [];
  do {
    if ($statement->columnCount() > 0) $rows = array_merge($rows, $statement->fetchAll(PDO::FETCH_NUM));
  } while ($statement->nextRowset());
  return $rows;
}

mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
['host' => $host, 'port' => $port, 'user' => $user, 'password' => $password, 'database' => $database] = $options;
if ($request['driver'] === 'mysqli') {
  $db = new mysqli($host, $user, $password, $database, $port);
  $db->set_charset('utf8mb4');
  $run = fn($step) => runMysqli($db, $step);
} else {
  $db = new PDO("mysql:host=$host;port=$port;dbname=$database;charset=utf8mb4", $user, $password);
  $db->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
  $db->setAttribute(PDO::ATTR_STRINGIFY_FETCHES, true);
  $run = fn($step) => runPdo($db, $step);
}
foreach ($request['steps'] as $step) {
  try {
    tell(['rows' => textual($run($step))]);
  } catch (mysqli_sql_exception $error) {
    tell(['error' => $error::class, 'number' => $error->getCode(), 'message' => $error->getMessage()]);
  } catch (PDOException $error) {
    tell(['error' => $error::class, 'number' => $error->errorInfo[1], 'message' => $error->errorInfo[2]]);
  }
}
