"""An S3 server that checks signatures: moto, with one user who may read one bucket.

Usage: s3.py ARCHIVE. Prints one line of JSON when it is ready, and ends when its standard input does.
"""

import json
import logging
import os
import sys

# A user, its key, its permission, a bucket and an object are made before anybody is asked who he is.
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "5"

import boto3
from moto.server import ThreadedMotoServer

logging.getLogger("werkzeug").setLevel(logging.ERROR)
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
endpoint = f"http://127.0.0.1:{port}"


def client(service):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="eu-central-1",
        aws_access_key_id="nobody",
        aws_secret_access_key="nothing",
    )


iam = client("iam")
iam.create_user(UserName="builder")
key = iam.create_access_key(UserName="builder")["AccessKey"]
policy = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::contexts/*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"},
    ],
}
iam.put_user_policy(UserName="builder", PolicyName="read", PolicyDocument=json.dumps(policy))
s3 = client("s3")
s3.create_bucket(
    Bucket="contexts", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
)
with open(sys.argv[1], "rb") as archive:
    s3.put_object(Bucket="contexts", Key="dir/a context.tar.gz", Body=archive.read())
ready = {"endpoint": endpoint, "id": key["AccessKeyId"], "key": key["SecretAccessKey"]}
print(json.dumps(ready), flush=True)
sys.stdin.read()
server.stop()
