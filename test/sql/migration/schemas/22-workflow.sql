-- The shape of Airflow.
CREATE TABLE dag (
	dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	is_paused BOOL,
	last_parsed_time TIMESTAMP(6) NULL,
	fileloc VARCHAR(2000),
	schedule_interval TEXT,
	max_active_tasks INTEGER NOT NULL,
	CONSTRAINT dag_pkey PRIMARY KEY (dag_id)
);
CREATE TABLE dag_run (
	id INTEGER NOT NULL AUTO_INCREMENT,
	dag_id VARCHAR(250) COLLATE utf8mb3_bin NOT NULL,
	execution_date TIMESTAMP(6) NOT NULL,
	conf BLOB,
	state VARCHAR(50),
	CONSTRAINT dag_run_pkey PRIMARY KEY (id),
	CONSTRAINT dag_run_dag_id_execution_date_key UNIQUE (dag_id, execution_date),
	FOREIGN KEY(dag_id) REFERENCES dag (dag_id) ON DELETE CASCADE
);
CREATE INDEX idx_dag_run_state ON dag_run (state, dag_id, execution_date, id);
