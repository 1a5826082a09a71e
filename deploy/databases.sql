-- Beside the database `prefect`, which the image of PostgreSQL makes by itself.
CREATE DATABASE mlflow;
