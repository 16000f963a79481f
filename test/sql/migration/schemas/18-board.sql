-- The shape of Kanboard.
CREATE TABLE columns (
    id INT NOT NULL AUTO_INCREMENT,
    title VARCHAR(255) NOT NULL,
    position INT NOT NULL,
    project_id INT NOT NULL,
    task_limit INT DEFAULT 0,
    UNIQUE KEY `idx_title_project` (`title`,`project_id`),
    PRIMARY KEY (id)
) ENGINE=InnoDB CHARSET=utf8;
CREATE TABLE tasks (
    id INT NOT NULL AUTO_INCREMENT,
    title VARCHAR(255) NOT NULL,
    is_active TINYINT(1) DEFAULT 1,
    column_id INT NOT NULL,
    `desc` TEXT,
    time_estimated FLOAT DEFAULT '0',
    FOREIGN KEY(column_id) REFERENCES columns(id) ON DELETE CASCADE,
    PRIMARY KEY (id),
    INDEX idx_task_active (is_active)
) ENGINE=InnoDB;
